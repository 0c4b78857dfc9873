import BlockCore
import BlockGraph
import BlockIO
import ImageFormats
import Synchronization

/// Finds out whether a layer holds anything that is not underneath as well.
///
/// Isolation: any thread; state behind `state`.
final class SameBeneathWork: SteppedWork {
  /// What is read from either side in one piece.
  private static let pieceBytes = 512 << 10
  private static let runsPerLook = 256

  private let source: CopySource
  private let progress: JobProgress
  private let buffers = BufferPool.of(size: 2 * SameBeneathWork.pieceBytes)
  private let state: Mutex<State>

  private struct State {
    var plan: CopyPlan
    /// The first difference found so far.
    var difference: Int?
  }

  /// Compares what `plan` says of the upper layers of `source` with what lies beneath.
  init(_ source: CopySource, plan: CopyPlan, progress: JobProgress) {
    self.source = source
    self.progress = progress
    state = Mutex(State(plan: plan))
    progress.expect(plan.bytes)
  }

  /// A byte at which the layer shows something else than what is underneath; nil where there is
  /// none. To be asked when the work is over.
  var difference: Int? { state.withLock { $0.difference } }

  var width: Int { Limits.copyLanes }
  var isThrottled: Bool { true }

  func step(_ lease: StepLease) throws(StepError) -> StepResult {
    var bytes = 0
    while let item = take(min(lease.budget - bytes, Limits.copyWindowBytes)) {
      try StepError.during(.read) { () throws(BlockError) in
        try compare(item, lease, &bytes)
      }
      if lease.isOver(after: bytes) { return StepResult(bytes: bytes, isExhausted: false) }
    }
    return StepResult(bytes: bytes, isExhausted: true)
  }

  /// The next stretch; none any more once a difference is found.
  private func take(_ budget: Int) -> CopyPlan.Item? {
    state.withLock { state in
      guard state.difference == nil else { return nil }
      return state.plan.take(max(budget, 1), alignment: IOBuffer.alignment)
    }
  }

  /// Compares `item`, or its front up to the end of the lease; the rest goes back to the plan.
  private func compare(
    _ item: CopyPlan.Item, _ lease: StepLease, _ bytes: inout Int
  ) throws(BlockError) {
    let before = bytes
    var rest = item.range
    defer {
      let compared = bytes - before
      let left = rest.isEmpty ? 0 : max(0, item.bytes - compared)
      state.withLock { $0.plan.putBack(.init(range: rest, bytes: left)) }
      progress.expect(left - (item.bytes - compared))
    }
    while !rest.isEmpty {
      for run in try source.chain.status(
        in: rest, above: source.base, limit: SameBeneathWork.runsPerLook)
      {
        if try isKnownToBeSame(run) { rest = rest.dropping(run.range.length) }
        while rest.lower < run.range.upper {
          let piece = ByteRange(from: rest.lower, to: run.range.upper)
            .prefix(SameBeneathWork.pieceBytes)
          if let difference = try firstDifference(in: piece, of: run.layer) { note(difference) }
          rest = rest.dropping(piece.length)
          bytes += piece.length
          progress.advance(by: piece.length)
          if lease.isOver(after: bytes) { return }
        }
      }
    }
  }

  /// Whether metadata alone says that the layer shows what is underneath.
  private func isKnownToBeSame(_ run: ChainRun) throws(BlockError) -> Bool {
    switch run.content {
    case .unallocated: true
    case .zero: try source.beneath?.readsZero(run.range) ?? true
    case .data, .compressed: false
    }
  }

  private func firstDifference(in range: ByteRange, of layer: Int) throws(BlockError) -> Int? {
    let length = range.length
    return try buffers.withBuffer { (buffer) throws(BlockError) in
      try buffer.withMutableBytes(0..<length) { (bytes) throws(BlockError) in
        try source.chain.nodes[layer].read(into: &bytes, at: range.lower)
      }
      try buffer.withMutableBytes(length..<2 * length) { (bytes) throws(BlockError) in
        if let beneath = source.beneath {
          try beneath.read(into: &bytes, at: range.lower)
        } else {
          bytes.zero()
        }
      }
      return buffer.withBytes(0..<2 * length) { bytes in
        bytes.extracting(0..<length).firstDifference(from: bytes.extracting(length..<2 * length))
          .map { range.lower + $0 }
      }
    }
  }

  private func note(_ difference: Int) {
    state.withLock { $0.difference = min($0.difference ?? .max, difference) }
  }
}

extension RawSpan {
  /// The first byte at which `other`, which is as long, differs; nil where all are the same.
  func firstDifference(from other: RawSpan) -> Int? {
    if isEqual(to: other) { return nil }
    return (0..<byteCount).first { byte(at: $0) != other.byte(at: $0) }
  }
}
