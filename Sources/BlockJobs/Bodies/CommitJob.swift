package import BlockCore
package import BlockGraph
import BlockIO
package import BlockRuntime
import ImageFormats

/// Copies what lies between a top and a base into the base, and takes the layers between out of the
/// chain.
///
/// If nothing lies over the top it is the active layer: the job becomes ready, follows new writes,
/// and when told to complete lets the top's users use the base. Otherwise the overlays of the top
/// get the base as their backing file, and the job ends by itself.
///
/// At every moment, whatever is interrupted, the chain through the top and through every overlay of
/// it reads as before: the base is durable before a header or an edge points past the layers above
/// it, and an overlay is durable before anybody hears that the job is done.
///
/// What a crash leaves, by the flushes:
/// 1. Before the base is flushed: a base that is partly written (commit again); nothing else has
///    changed.
/// 2. After it, active layer: the base has all, and the top is as it was; where it is emptied, what
///    `makeEmpty` leaves of it, over a base that shows the same.
/// 3. After it, layers in the middle: each overlay leads to the top or to the base, and both read
///    the same (`setBackingLink` flushes one after the other).
/// 4. After BLOCK_JOB_COMPLETED: the end, whatever is lost.
///
/// Tests: `CrashSmokeTests` (commit: active, intermediate), `CommitOrderTests`,
/// `RecordedSmokeTests` (a daemon, recorded from outside), `KillSmokeTests`, `PoisonedCommitTests`.
///
/// Isolation: control plane.
@ControlPlane
package final class CommitJob: JobBody {
  /// What to commit.
  package struct Request {
    /// The chain from the top down.
    package var chain: BackingChain
    /// Where the base stands in it; at least 1.
    package var base: Int
    /// What the overlays' headers are to call the base; its own name when nil.
    package var backingFile: String?
    /// Whether the top is emptied in the end. Only for an active layer directly on the base.
    package var emptiesTop = false
    /// Whether data that the base shows already is compared instead of written.
    package var skipsIdentical = false
    /// The least bytes of one layer in one piece that go from file to file; fewer in tests.
    package var fileRunBytes = CopyWork.fileRunBytes

    package init(chain: BackingChain, base: Int) {
      self.chain = chain
      self.base = base
    }
  }

  package let type = JobType.commit
  package let canComplete: Bool
  private let graph: BlockGraph
  private let memory: CommitMemory
  private let source: CopySource
  private let overlays: [BlockNode]
  /// What the overlays' headers are to say; its name is tidied up before anything is written.
  private var link: BackingLink
  private let isLinkGiven: Bool
  private let emptiesTop: Bool
  private let skipsIdentical: Bool
  private let fileRunBytes: Int
  private let claims: NodeClaims
  private let tracker: DirtyTracker?
  private let firstGeneration: Int
  private var copy: CopyWork?
  /// Set while the top's gate is closed.
  private var isTopDrained = false

  private var top: BlockNode { source.chain.top }
  private var base: BlockNode { source.chain.nodes[source.base] }

  /// Takes what the job `id` needs of the graph. Throws `busy` and `locked` where somebody stands
  /// in the way, `invalidArgument` for what makes no sense.
  package init(
    _ request: Request, id: String, graph: BlockGraph, memory: CommitMemory
  ) throws(BlockError) {
    self.graph = graph
    self.memory = memory
    let chain = request.chain
    source = CopySource(chain, base: request.base)
    let (top, base) = (chain.top, chain.nodes[request.base])
    overlays = graph.overlays(of: top)
    canComplete = overlays.isEmpty
    emptiesTop = request.emptiesTop
    skipsIdentical = request.skipsIdentical
    fileRunBytes = request.fileRunBytes
    link = BackingLink(
      bytes: request.backingFile.map { Array($0.utf8) } ?? base.path, format: base.image.format)
    isLinkGiven = request.backingFile != nil
    claims = NodeClaims(graph, id: id, type: .commit)
    firstGeneration = base.writeGeneration
    tracker = canComplete && !top.isReadOnly ? CommitJob.tracker(of: top) : nil
    try request.check(isActive: canComplete)
    try takeClaims()
  }

  package var device: DeviceKey { source.chain.device }
  package var files: [String] {
    source.chain.nodes[...source.base].map(\.fileName) + overlays.map(\.fileName)
  }

  // MARK: The work

  package func run(_ job: JobContext) async throws(BlockError) {
    try await job.enter(.plan)
    try await prepare(job)
    let copy = try await survey(job)
    self.copy = copy
    try await growBase(job)
    try await job.enter(.copy)
    try await zeroBehindTop(job)
    try await job.run(copy)
    try await job.enter(.flush)
    try await flushBase(job)
    try await makeBeneathDurable(job)
    guard canComplete else { return }
    try await job.enter(.ready)
    job.becomeReady()
    while try await !job.waitForCompletion(or: { copy.hasNewWrites }) {
      try await copyNewWrites(job, copy)
    }
    if job.isSoftlyCancelled {
      // The base is the disk at this moment, and keeps to it.
      try await settle(job)
      openGate()
    }
  }

  package func finalize(_ job: JobContext) async throws(BlockError) {
    if !canComplete { return try await switchOverlays(job) }
    if job.isSoftlyCancelled { return }
    try await job.enter(.switch)
    try await settle(job)
    await graph.replace(top, with: base)
    if source.base == 1 { memory.note(source.chain) }
    openGate()
    if emptiesTop { try await emptyTop(job) }
  }

  package func cleanUp(_ job: JobContext) async {
    openGate()
    if let tracker { top.detach(tracker) }
    let copied = copy?.bytesCopied ?? 0
    let isBaseChanged = base.writeGeneration != firstGeneration
    let between = source.chain.nodes[1..<source.base].map(\.fileName)
    job.setResult { result in
      result.bytesCopied = copied
      result.invalidatedImages = isBaseChanged ? between : []
    }
    await claims.giveBack()
  }
}

// MARK: Before the first write

extension CommitJob {
  /// A tracker of at most 1 MiB of bits, in units of a usual cluster up to half a TiB.
  private static func tracker(of top: BlockNode) -> DirtyTracker {
    var granularity = 64 << 10
    while top.virtualSize / granularity > 1 << 23 { granularity *= 2 }
    return DirtyTracker(size: top.virtualSize, granularity: granularity)
  }

  private func takeClaims() throws(BlockError) {
    let layers = Array(source.chain.nodes[...source.base])
    let own = layers + overlays
    for node in own { try graph.requireNoJob(on: node) }
    try claims.take(top, emptiesTop ? .writer : .watched, besides: own)
    for node in layers.dropFirst().dropLast() { try claims.take(node, .passing, besides: own) }
    try claims.take(base, .writer, besides: own)
    for node in overlays { try claims.take(node, .watched, besides: own) }
    try claims.keep(source.chain.nodes.dropFirst(source.base + 1))
    if let tracker { top.attach(tracker) }
  }

  /// Opens for writing what will be written to, and checks that nothing will be in the way later.
  private func prepare(_ job: JobContext) async throws(BlockError) {
    try await claims.openForWriting(base)
    if emptiesTop { try await claims.openForWriting(top) }
    for overlay in overlays { try await claims.openForWriting(overlay) }
    if emptiesTop { try await requireHeader(job) }
    if !overlays.isEmpty && !isLinkGiven { try await tidyLink(job) }
    let (base, overlays, link, size) = (base, overlays, link, top.virtualSize)
    try await job.perform(.read) { () throws(BlockError) in
      for overlay in overlays {
        try overlay.withWholeImage { (image) throws(BlockError) in
          try image.checkBackingLink(link)
        }
      }
      try base.requireRoom(for: size)
    }
  }

  private func tidyLink(_ job: JobContext) async throws(BlockError) {
    let (base, gate) = (base, graph.gate)
    link.bytes = try await job.perform(.read) { () throws(BlockError) in try base.headerName(gate) }
  }

  private func requireHeader(_ job: JobContext) async throws(BlockError) {
    let (chain, gate) = (source.chain, graph.gate)
    try await job.perform(.read) { () throws(BlockError) in
      try chain.requireHeadersLeadBeneath(gate)
    }
  }

  private func survey(_ job: JobContext) async throws(BlockError) -> CopyWork {
    let survey = SurveyWork(source)
    try await job.run(survey)
    return CopyWork(
      source, plan: survey.plan, tracker: tracker, skippingIdentical: skipsIdentical,
      fileRunBytes: fileRunBytes, progress: job.progress)
  }
}

// MARK: Steps

extension CommitJob {
  /// A base that is shorter than the top gets its length; what comes in reads zero, also where the
  /// base's own backing file is longer.
  private func growBase(_ job: JobContext) async throws(BlockError) {
    let size = top.virtualSize
    guard source.baseSize < size else { return }
    try await job.enter(.grow)
    let (base, below) = (base, source.chain.view(from: source.base + 1))
    try await job.perform(.write) { () throws(BlockError) in
      try base.resize(to: size, over: below)
    }
  }

  /// An overlay that is longer than the top reads zero behind the top's end. It has to find zeros
  /// there in a base that is longer, too.
  private func zeroBehindTop(_ job: JobContext) async throws(BlockError) {
    let end = min(source.baseSize, overlays.map(\.virtualSize).max() ?? 0)
    guard top.virtualSize < end else { return }
    let target = BackingChain(Array(source.chain.nodes[source.base...]))
    try await job.run(ZeroWork(ByteRange(from: top.virtualSize, to: end), of: target))
  }

  private func flushBase(_ job: JobContext) async throws(BlockError) {
    let base = base
    try await job.perform(.write) { () throws(BlockError) in try base.flush() }
  }

  /// What the base shows already is not written to it: zeros, and with `skipsIdentical` all bytes.
  /// Some of that may lie below it, where nobody has flushed it yet.
  private func makeBeneathDurable(_ job: JobContext) async throws(BlockError) {
    let (chain, beneath) = (source.chain, source.base + 1)
    try await job.perform(.write) { () throws(BlockError) in
      try chain.makeDurable(from: beneath)
    }
  }

  private func copyNewWrites(_ job: JobContext, _ copy: CopyWork) async throws(BlockError) {
    try await job.run(copy)
    try await flushBase(job)
  }

  /// Copies what was written to the top until nothing is left to copy while no write is on its way.
  /// From then on writes to the top wait until `openGate`. They may hold every lane of the device,
  /// so nothing that needs a lane may come in between.
  private func settle(_ job: JobContext) async throws(BlockError) {
    guard let copy, tracker != nil else { return }
    while true {
      await closeGate()
      guard copy.hasNewWrites else { return }
      openGate()
      try await copyNewWrites(job, copy)
    }
  }

  private func closeGate() async {
    await withCheckedContinuation { continuation in
      top.gate.drain { continuation.resume() }
    }
    isTopDrained = true
  }

  private func openGate() {
    guard isTopDrained else { return }
    isTopDrained = false
    top.gate.resume()
  }

  /// Lets every overlay of the top lead to the base, in its header and in the graph. After an error
  /// some do and the others still lead to the top; all read the same.
  private func switchOverlays(_ job: JobContext) async throws(BlockError) {
    try await job.enter(.switch)
    if !isLinkGiven {
      let (base, name, gate) = (base, link.bytes, graph.gate)
      try await job.perform(.read) { () throws(BlockError) in
        try base.requireFile(at: name, gate)
      }
    }
    // The layers between are closed when the last overlay has left them.
    claims.release(source.chain.nodes[..<source.base])
    for overlay in overlays {
      try await graph.dropIntermediates(under: overlay, to: base, writing: link)
    }
  }

  /// Empties the top, step by step. It reads the same before, between and after.
  private func emptyTop(_ job: JobContext) async throws(BlockError) {
    try await job.enter(.empty)
    try await requireHeader(job)
    let top = top
    let operation = try await job.perform(.write) { () throws(BlockError) in
      try top.makeEmpty(.auto)
    }
    var isDone = false
    while !isDone {
      if job.isShuttingDown && !operation.isPastNoReturn { throw .cancelledJob }
      isDone = try await job.perform(.write) { () throws(BlockError) in try operation.step() }
    }
  }
}

extension CommitJob.Request {
  /// Throws `invalidArgument` for wishes that do not go together, with an active layer as the top
  /// or with another one.
  package func check(isActive: Bool) throws(BlockError) {
    if !isActive && emptiesTop {
      throw BlockError(.invalidArgument, "Only an active layer can be emptied after a commit")
    }
    // What lies between would show through an empty top, and it is no longer what it was.
    if emptiesTop && base != 1 {
      throw BlockError(
        .invalidArgument,
        "The top is emptied only after a commit into the image directly under it")
    }
    if isActive && backingFile != nil {
      throw BlockError(
        .invalidArgument, "'backing-file' specified, but 'top' is the active layer")
    }
  }
}

extension NodePermissions {
  /// Reads, and puts up with a writer, but not with a change of length.
  fileprivate static let watched = NodePermissions(
    uses: .consistentRead, shares: LockPermissions.all.subtracting(.resize))

  /// Reads what nobody else may count on: what a layer between top and base shows changes with the
  /// base, and so does what shows through another overlay of it.
  fileprivate static let passing = NodePermissions(
    uses: .consistentRead, shares: NodePermissions.reader.shares.subtracting(.consistentRead))
}

extension BlockNode {
  /// Throws `unsupported` where the node is shorter than `size` and cannot grow. Lane.
  fileprivate func requireRoom(for size: Int) throws(BlockError) {
    try withWholeImage { (image) throws(BlockError) in
      guard image.virtualSize < size, image.clusterSize == 1, image.dataStorage.traits.isDevice
      else { return }
      throw BlockError(
        .unsupported,
        "Node '\(name)' is a device of \(image.virtualSize) bytes and cannot grow to \(size)",
        file: fileName)
    }
  }
}
