package import BlockCore
import BlockIO
import Synchronization

extension Qcow2Image {
  /// Order: data first, then refcounts, then L2 entries (`Qcow2State.writeOut`). New clusters lie
  /// side by side, so that one write fills those of many pieces; what in them is zero stays a hole
  /// where nothing was written before.
  ///
  /// Crash: as for a write of each piece by itself (`write(_:over:filling:)`), some of them done.
  /// Tests: `CrashSmokeTests` (both commits), `EveryFaultTests` (pieces that lie apart).
  package func write(
    _ pieces: [GuestPiece], of bytes: RawSpan, over backing: (any BackingView)?
  ) throws(BlockError) {
    precondition(pieces.allSatisfy { $0.range.upper <= virtualSize })
    let plan = try change { (state) throws(BlockError) in try state.planGathered(pieces) }
    do {
      try fill(plan.parts, from: bytes)
    } catch {
      state.withLock { $0.abandon(plan.parts) }
      throw error
    }
    if !plan.parts.isEmpty {
      try change { (state) throws(BlockError) in try state.link(plan.parts) }
    }
    for piece in plan.others {
      let part = bytes.extracting(piece.place..<piece.place + piece.range.length)
      try write(part, at: piece.range.lower, over: backing)
    }
  }

  /// Writes the bytes of `parts`, those that lie side by side in memory and in the file at once.
  private func fill(_ parts: [GatherPlan.Part], from bytes: RawSpan) throws(BlockError) {
    var index = 0
    while index < parts.count {
      let first = parts[index]
      var length = first.piece.range.length
      index += 1
      while index < parts.count, parts[index].host == first.host + length,
        parts[index].piece.place == first.piece.place + length,
        parts[index].isVirgin == first.isVirgin
      {
        length += parts[index].piece.range.length
        index += 1
      }
      let run = bytes.extracting(first.piece.place..<first.piece.place + length)
      if first.isVirgin {
        try writeAroundZeros(run, at: first.host)
      } else {
        try dataStorage.write(run, at: first.host)
      }
    }
  }

  /// The unit in which zeros are looked for: a page, as file systems keep holes.
  private static var zeroUnit: Int { 4096 }
  /// Fewer zeros are written: a hole of them would cost more than it saves.
  private static var leastHole: Int { 16 << 10 }

  /// Writes `bytes` to where the file reads zero.
  private func writeAroundZeros(_ bytes: RawSpan, at host: Int) throws(BlockError) {
    var start = 0
    var end = 0
    var position = 0
    while position < bytes.byteCount {
      let next = min(position + Qcow2Image.zeroUnit, bytes.byteCount)
      if !bytes.extracting(position..<next).isAllZero {
        if position - end >= Qcow2Image.leastHole {
          try write(bytes, from: start, to: end, at: host)
          start = position
        }
        end = next
      }
      position = next
    }
    try write(bytes, from: start, to: end, at: host)
  }

  private func write(
    _ bytes: RawSpan, from start: Int, to end: Int, at host: Int
  ) throws(BlockError) {
    if start < end { try dataStorage.write(bytes.extracting(start..<end), at: host + start) }
  }
}
