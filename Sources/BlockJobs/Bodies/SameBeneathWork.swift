import BlockCore
import BlockGraph
import BlockIO
import ImageFormats
import Synchronization

/// Finds out whether a layer holds anything that is not underneath as well.
///
/// Isolation: any thread; state behind `state`.
final class SameBeneathWork: SteppedWork {
  private static let runsPerLook = 256

  private let source: CopySource
  private let progress: JobProgress
  private let buffers = BufferPool(size: 2 * Limits.copyWindowBytes)
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
    while let item = take(lease.budget - bytes) {
      var rest = item.range
      var compared = 0
      defer {
        let left = rest.isEmpty ? 0 : max(0, item.bytes - compared)
        state.withLock { $0.plan.putBack(.init(range: rest, bytes: left)) }
        progress.expect(left - (item.bytes - compared))
      }
      while !rest.isEmpty {
        let count = try StepError.during(.read) { () throws(BlockError) in
          try compareFront(of: &rest)
        }
        compared += count
        bytes += count
        progress.advance(by: count)
        if lease.isOver(after: bytes) { return StepResult(bytes: bytes, isExhausted: false) }
      }
    }
    return StepResult(bytes: bytes, isExhausted: true)
  }

  private func take(_ budget: Int) -> CopyPlan.Item? {
    state.withLock { state in
      guard state.difference == nil else { return nil }
      return state.plan.take(max(budget, 1), alignment: IOBuffer.alignment)
    }
  }

  /// Compares the runs at the front of `rest` and takes them off. Returns how many bytes were read
  /// from the layer.
  private func compareFront(of rest: inout ByteRange) throws(BlockError) -> Int {
    let runs = try source.chain.status(
      in: rest.prefix(Limits.copyWindowBytes), above: source.base,
      limit: SameBeneathWork.runsPerLook)
    var bytes = 0
    for run in runs {
      switch run.content {
      case .unallocated: break
      case .zero where try source.beneath?.readsZero(run.range) ?? true: break
      case .zero, .data, .compressed:
        if let difference = try firstDifference(in: run) { note(difference) }
        bytes += run.range.length
      }
      rest = rest.dropping(run.range.length)
    }
    return bytes
  }

  private func firstDifference(in run: ChainRun) throws(BlockError) -> Int? {
    let length = run.range.length
    return try buffers.withBuffer { (buffer) throws(BlockError) in
      try buffer.withMutableBytes(0..<length) { (bytes) throws(BlockError) in
        try source.chain.nodes[run.layer].read(into: &bytes, at: run.range.lower)
      }
      try buffer.withMutableBytes(length..<2 * length) { (bytes) throws(BlockError) in
        if let beneath = source.beneath {
          try beneath.read(into: &bytes, at: run.range.lower)
        } else {
          bytes.zero()
        }
      }
      return buffer.withBytes(0..<2 * length) { bytes in
        bytes.extracting(0..<length).firstDifference(from: bytes.extracting(length..<2 * length))
          .map { run.range.lower + $0 }
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
