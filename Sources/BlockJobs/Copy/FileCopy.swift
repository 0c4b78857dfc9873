import BlockCore
import BlockGraph
import BlockIO
import ImageFormats

/// One long run of one layer on its way to the base: from file to file where the system can do
/// that, else through a buffer.
///
/// Whatever is left of it, the base's tables name it only when it is durable, as with any write.
/// Tests: `CrashSmokeTests` (layouts with copies from file to file), `FaultSmokeTests`,
/// `RecordedSmokeTests` (long runs).
///
/// Isolation: one lane.
struct FileCopy {
  /// Runs of one look at the layer's tables.
  private static let runsPerLook = 64

  let range: ByteRange
  let layer: BlockNode
  let target: BackingChain
  /// What is read and then written in one piece where bytes have to pass through the process.
  let buffer: IOBuffer

  /// Copies the run. An error says whether the layer or the base caused it.
  ///
  /// The layer's range stays locked until the base has its bytes, because only so do the clusters
  /// stay where they are. A write to that range of the layer waits for as long.
  func run() throws(StepError) {
    var side = IOErrorOperation.read
    do throws(BlockError) {
      try layer.reading(range.length, from: range) { (image) throws(BlockError) in
        side = .write
        try target.write(range) { (range, storage, offset) throws(BlockError) in
          try fill(range, from: image, to: storage, at: offset, &side)
        }
      }
    } catch {
      throw StepError(side, error)
    }
  }

  /// Brings the bytes of `range` to `offset` of `storage`. `side` is what is at fault when it
  /// throws.
  private func fill(
    _ range: ByteRange, from image: any ImageDriver, to storage: any Storage, at offset: Int,
    _ side: inout IOErrorOperation
  ) throws(BlockError) {
    let distance = offset - range.lower
    var rest = range
    while !rest.isEmpty {
      side = .read
      let runs = try image.mappings(in: rest, limit: FileCopy.runsPerLook)
      for run in runs {
        var left = run
        left.range = run.range.dropping(
          transfer(run, from: image, to: storage, at: run.range.lower + distance))
        while !left.range.isEmpty {
          let piece = left.prefix(buffer.count)
          side = .read
          try read(piece, from: image)
          side = .write
          try buffer.withBytes(0..<piece.range.length) { (bytes) throws(BlockError) in
            try storage.write(bytes, at: piece.range.lower + distance)
          }
          left.range = left.range.dropping(piece.range.length)
        }
        rest = rest.dropping(run.range.length)
      }
    }
    side = .write
  }

  /// Lets the system copy the front of `run`; returns how many bytes it did. What it does not do,
  /// for whatever reason, is read and written: then an error says on which side it is.
  private func transfer(
    _ run: ImageMapping, from image: any ImageDriver, to storage: any Storage, at offset: Int
  ) -> Int {
    guard case .data(let host) = run.content else { return 0 }
    var rest = ByteRange(at: host, length: run.range.length)
    while !rest.isEmpty {
      let done = rest.lower - host
      let copied = try? storage.copy(from: image.dataStorage, rest, to: offset + done)
      guard let copied, copied > 0 else { return done }
      rest = rest.dropping(copied)
    }
    return run.range.length
  }

  private func read(_ run: ImageMapping, from image: any ImageDriver) throws(BlockError) {
    try buffer.withMutableBytes(0..<run.range.length) { (bytes) throws(BlockError) in
      switch run.content {
      case .data, .compressed: try image.read(into: &bytes, at: run.range.lower)
      // It held data when it was looked at. What came since is marked, and copied again.
      case .zero, .unallocated: bytes.zero()
      }
    }
  }
}
