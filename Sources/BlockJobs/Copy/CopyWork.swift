import BlockCore
import BlockGraph
import BlockIO
import ImageFormats
import Synchronization

/// The copy loop, from some layers of a chain into the one below or above them: takes what the plan
/// says, looks again at what lies there, and writes it to the target, on several lanes at once.
///
/// A step copies one large run or many small ones, up to its lease; neighbours on the guest's disk
/// go to the base in one write, whichever layers they come from. With a tracker, whatever is
/// written to the top meanwhile is copied again, until nothing new has come.
///
/// Isolation: any thread; state behind `state`.
final class CopyWork: SteppedWork {
  /// What is read and then written in one piece where it cannot go from file to file: little
  /// enough that the write finds the bytes in the processor's cache.
  private static let pieceBytes = 512 << 10
  /// Runs of one look at the tables.
  private static let runsPerLook = 256
  /// Dirty runs taken at a time.
  private static let runsPerRefill = 256

  private let source: CopySource
  private let target: BackingChain
  private let zeroes: ZeroWriter
  private let tracker: DirtyTracker?
  private let progress: JobProgress
  private let alignment: Int
  private let buffers: BufferPool
  private let state: Mutex<State>

  private struct State {
    var plan: CopyPlan
    /// Stretches being copied now.
    var taken = 0
    var bytesCopied = 0
  }

  /// Copies what `plan` says and what `tracker` reports; counts on `progress`.
  init(
    _ source: CopySource, plan: CopyPlan, tracker: DirtyTracker? = nil, progress: JobProgress
  ) {
    self.source = source
    self.tracker = tracker
    self.progress = progress
    target = source.target
    zeroes = ZeroWriter(target: target, later: source.isUpwards ? source.remaining : nil)
    // Two windows in one cluster of the base would wait for each other.
    alignment = max(target.top.image.clusterSize, IOBuffer.alignment)
    buffers = BufferPool(size: max(CopyWork.pieceBytes, alignment))
    state = Mutex(State(plan: plan))
    progress.expect(plan.bytes)
  }

  /// Guest bytes written to the base; what was copied again counts again.
  var bytesCopied: Int { state.withLock { $0.bytesCopied } }
  /// Whether writes to the top came in that nobody has copied.
  var hasNewWrites: Bool { (tracker?.dirtyBytes ?? 0) > 0 }

  var width: Int { Limits.copyLanes }
  var isThrottled: Bool { true }

  func step(_ lease: StepLease) throws(StepError) -> StepResult {
    try buffers.withBuffer { (buffer) throws(StepError) in
      var step = Step(
        buffer: buffer, segmentBytes: lease.budget.roundedUp(to: alignment), lease: lease)
      while let item = take(lease.budget - step.bytes) {
        try copy(item, &step)
        if step.isOver { return StepResult(bytes: step.bytes, isExhausted: false) }
      }
      return StepResult(bytes: step.bytes, isExhausted: true)
    }
  }

  /// What one step has and has done.
  private struct Step {
    let buffer: IOBuffer
    /// The most that goes to the base as one.
    let segmentBytes: Int
    let lease: StepLease
    var bytes = 0

    var isOver: Bool { lease.isOver(after: bytes) }
  }

  /// The next stretch, from the plan or, when nothing else is at work, from the tracker: what was
  /// written while it was being copied must be copied after that, not beside it.
  private func take(_ budget: Int) -> CopyPlan.Item? {
    state.withLock { state in
      if state.plan.isEmpty && state.taken == 0 { refill(&state.plan) }
      guard let item = state.plan.take(max(budget, 1), alignment: alignment) else { return nil }
      state.taken += 1
      return item
    }
  }

  private func refill(_ plan: inout CopyPlan) {
    guard let tracker else { return }
    var offset = 0
    for _ in 0..<CopyWork.runsPerRefill {
      guard let run = tracker.takeRun(from: offset, limit: Int.max) else { break }
      plan.add(run, moving: run.length)
      offset = run.upper
    }
    progress.expect(plan.bytes)
  }

  /// Copies `item`, or its front up to the end of the lease; the rest goes back to the plan.
  private func copy(_ item: CopyPlan.Item, _ step: inout Step) throws(StepError) {
    let before = step.bytes
    var rest = item.range
    defer {
      let left = rest.isEmpty ? 0 : max(0, item.bytes - (step.bytes - before))
      giveBack(CopyPlan.Item(range: rest, bytes: left), of: item, copied: step.bytes - before)
    }
    while !rest.isEmpty {
      // Before the look: a write that comes after this line is marked again, whatever the look saw.
      tracker?.clear(rest)
      let runs = try StepError.during(.read) { () throws(BlockError) in
        try source.chain.status(in: rest, above: source.base, limit: CopyWork.runsPerLook)
      }
      var index = 0
      while index < runs.count {
        rest = ByteRange(from: max(rest.lower, runs[index].range.lower), to: rest.upper)
        switch runs[index].content {
        case _ where runs[index].layer < source.first, .unallocated:
          rest = rest.dropping(runs[index].range.upper - rest.lower)
        case .zero:
          let range = ByteRange(from: rest.lower, to: runs[index].range.upper)
          rest = rest.dropping(
            try StepError.during(.write) { () throws(BlockError) in
              try zeroes.zeroFront(of: range)
            })
        case .data, .compressed:
          let segment = CopySegment(
            runs[index...], from: rest.lower, layers: source.first, limit: step.segmentBytes)
          let copy = SegmentCopy(
            segment: segment, source: source, target: target, buffer: step.buffer)
          try copy.run()
          step.bytes += segment.range.length
          progress.advance(by: segment.range.length)
          rest = rest.dropping(segment.range.length)
        }
        if step.isOver { return }
        while index < runs.count, runs[index].range.upper <= rest.lower { index += 1 }
      }
    }
  }

  private func giveBack(_ left: CopyPlan.Item, of item: CopyPlan.Item, copied: Int) {
    state.withLock { state in
      state.taken -= 1
      state.bytesCopied += copied
      state.plan.putBack(left)
    }
    // The plan knew only about how many bytes there would be.
    progress.expect(left.bytes - (item.bytes - copied))
  }
}
