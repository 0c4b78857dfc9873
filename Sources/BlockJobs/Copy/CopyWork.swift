import BlockCore
import BlockGraph
import BlockIO
import ImageFormats
import Synchronization

/// The copy loop, from some layers of a chain into the one below or above them: takes what the plan
/// says, looks again at what lies there, and writes it to the target, on several lanes at once.
///
/// A step copies window by window, one large run or many small ones, up to its lease. Small ones
/// pass through a buffer together (`CopyBatch`), whichever layers they come from. With a tracker,
/// whatever is written to the top meanwhile is copied again, until nothing new has come.
///
/// Isolation: any thread; state behind `state`.
final class CopyWork: SteppedWork {
  /// A run of which so much lies in one piece goes from file to file.
  static let fileRunBytes = 1 << 20
  /// So much is enough where the base may share the bytes: a cluster of the usual size.
  private static let sharedRunBytes = 64 << 10
  /// File systems share whole blocks, of at most this size.
  private static let sharedBlockBytes = 4096
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
  /// For what the base shows already; nil where that is not looked at.
  private let comparison: BufferPool?
  private let fileRunBytes: Int
  private let state: Mutex<State>

  private struct State {
    var plan: CopyPlan
    /// Rounds at work now.
    var rounds = 0
    var bytesCopied = 0
  }

  /// Copies what `plan` says and what `tracker` reports; counts on `progress`. With
  /// `skippingIdentical` what the base shows already is not written again; runs of `fileRunBytes`
  /// and more go from file to file.
  init(
    _ source: CopySource, plan: CopyPlan, tracker: DirtyTracker? = nil,
    skippingIdentical: Bool = false, fileRunBytes: Int = CopyWork.fileRunBytes,
    progress: JobProgress
  ) {
    self.source = source
    self.fileRunBytes = fileRunBytes
    self.tracker = tracker
    self.progress = progress
    target = source.target
    zeroes = ZeroWriter(target: target, later: source.isUpwards ? source.remaining : nil)
    // Two lanes in one cluster of the target would wait for each other, and a compressed cluster
    // would be decompressed by both.
    alignment = source.chain.nodes.prefix(source.base + 1).map(\.image.clusterSize)
      .reduce(IOBuffer.alignment, max)
    buffers = BufferPool.of(size: max(CopyWork.room(for: Limits.copyWindowBytes), alignment))
    comparison = skippingIdentical ? CopyBatch.comparisonBuffers(for: target) : nil
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
      var bytes = 0
      repeat {
        guard var round = take(min(lease.budget - bytes, Limits.copyWindowBytes)) else {
          return StepResult(bytes: bytes, isExhausted: true)
        }
        defer { giveBack(round) }
        try copy(&round, through: buffer, lease)
        bytes += round.copied
      } while !lease.isOver(after: bytes)
      return StepResult(bytes: bytes, isExhausted: false)
    }
  }

  /// The next stretches, from the plan or, when nothing else is at work, from the tracker: what was
  /// written while it was being copied must be copied after that, not beside it.
  private func take(_ budget: Int) -> CopyRound? {
    state.withLock { state in
      if state.plan.isEmpty && state.rounds == 0 {
        // What was to be copied may have become less meanwhile.
        progress.settle()
        refill(&state.plan)
      }
      let items = state.plan.takeSeveral(budget, alignment: alignment)
      if items.isEmpty { return nil }
      state.rounds += 1
      return CopyRound(items)
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

  /// The bytes that one batch takes for a window of `budget`: somewhat more, because what is taken
  /// from the plan holds only about so many, and a rest would be a batch of its own.
  private static func room(for budget: Int) -> Int { budget + budget / 4 }

  /// Copies the stretches of `round`, or as many as the lease lasts for.
  private func copy(
    _ round: inout CopyRound, through buffer: IOBuffer, _ lease: StepLease
  ) throws(StepError) {
    let window = min(lease.budget, Limits.copyWindowBytes)
    var batch = CopyBatch(
      source, zeroing: zeroes, through: buffer, comparingIn: comparison,
      limit: CopyWork.room(for: window), alignment: alignment)
    while let rest = round.next {
      // Before the look: a write that comes after this line is marked again, whatever the look saw.
      tracker?.clear(rest)
      let runs = try StepError.during(.read) { () throws(BlockError) in
        try source.chain.status(in: rest, above: source.base, limit: CopyWork.runsPerLook)
      }
      for run in runs {
        let goesOn = try copy(run, &batch, &round, lease)
        if !goesOn { return try finish(&batch, &round) }
      }
    }
    try finish(&batch, &round)
  }

  /// Copies `run`, or takes it into the batch. Returns whether the lease goes on; when it is over,
  /// only the run's front may have been looked at.
  private func copy(
    _ run: ChainRun, _ batch: inout CopyBatch, _ round: inout CopyRound, _ lease: StepLease
  ) throws(StepError) -> Bool {
    var rest = run.range
    while !rest.isEmpty {
      var length = rest.length
      switch run.content {
      case _ where run.layer < source.first, .unallocated: break
      case .zero:
        length = try StepError.during(.write) { () throws(BlockError) in
          try zeroes.zeroFront(of: rest)
        }
      case .data where goesFromFileToFile(rest, of: run.layer):
        try finish(&batch, &round)
        length = min(length, batch.limit)
        try FileCopy(
          range: rest.prefix(length), layer: source.chain.nodes[run.layer], target: target,
          buffer: batch.buffer
        ).run()
        round.advance(by: length)
        note(length, &round)
        rest = rest.dropping(length)
        length = 0
      case .data, .compressed:
        length = batch.add(rest, of: run.layer)
        if length == 0 { try finish(&batch, &round) }
      }
      round.advance(by: length)
      rest = rest.dropping(length)
      // What is only taken into the batch has cost nothing yet.
      let isGathered = batch.bytes > 0 && !run.isZero
      if isGathered ? lease.isStopped : lease.isOver(after: round.copied) { return false }
    }
    return true
  }

  /// Where zeros are to be found among the bytes, or the base's own, somebody has to look at them.
  /// And a layer's range may not be held while one above it is asked for.
  private func goesFromFileToFile(_ range: ByteRange, of layer: Int) -> Bool {
    guard range.length >= min(fileRunBytes, CopyWork.sharedRunBytes),
      target.top.options.detectZeroes == .off, comparison == nil, !source.isUpwards
    else { return false }
    return range.length >= fileRunBytes || isShared(with: layer)
  }

  /// Whether the base may share the bytes of `layer`'s clusters.
  private func isShared(with layer: Int) -> Bool {
    let (from, into) = (source.chain.nodes[layer].image, target.top.image)
    return CopyWork.isBlockwise(from) && CopyWork.isBlockwise(into)
      && into.dataStorage.mayShare(with: from.dataStorage)
  }

  /// Whether clusters begin where blocks do. Those of raw images are bytes.
  private static func isBlockwise(_ image: any ImageDriver) -> Bool {
    image.clusterSize == 1 || image.clusterSize % sharedBlockBytes == 0
  }

  /// Copies what `batch` holds; all of `round` up to here is done then.
  private func finish(_ batch: inout CopyBatch, _ round: inout CopyRound) throws(StepError) {
    let bytes = batch.bytes
    try batch.copy()
    note(bytes, &round)
  }

  private func note(_ bytes: Int, _ round: inout CopyRound) {
    round.settle(bytes)
    progress.advance(by: bytes)
  }

  private func giveBack(_ round: CopyRound) {
    let left = round.left
    state.withLock { state in
      state.rounds -= 1
      state.bytesCopied += round.copied
      // What is put back last is taken first.
      for item in left.reversed() { state.plan.putBack(item) }
    }
  }
}

extension ChainRun {
  /// Whether it is zeros, which are written at once.
  fileprivate var isZero: Bool { if case .zero = content { true } else { false } }
}
