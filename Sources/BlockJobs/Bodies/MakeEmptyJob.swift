package import BlockCore
package import BlockGraph
import BlockIO
package import BlockRuntime
package import ImageFormats

/// Empties a layer, so that everything falls through to what lies underneath.
///
/// Unless it is forced, or the daemon has committed the layer itself and nobody has written since,
/// it first compares, and refuses where a guest would see a change, or where the headers
/// do not lead to what lies underneath. What then shows through is made durable before the layer
/// is emptied, whoever has written it.
///
/// What a crash leaves is the driver's affair: the full layer, or an empty one, or (with `discard`)
/// one that is emptied up to some cluster. Tests: `CrashSmokeTests` (reset, discard: the driver),
/// `KillSmokeTests`, `MakeEmptyOrderTests` (the flush of what lies underneath).
///
/// Isolation: control plane.
@ControlPlane
package final class MakeEmptyJob: JobBody {
  /// When the layer is emptied.
  package enum Place: Sendable {
    /// As soon as it is known that it may be.
    case atOnce
    /// In the last step, because the job is one of a group.
    case atEnd
    /// As `atEnd`; and until then a commit of the same group holds the layer.
    case afterCommit
  }

  package let type = JobType.makeEmpty
  package let canComplete = false
  private let chain: BackingChain
  private let mode: EmptyMode
  private let force: Bool
  private let place: Place
  private let graph: BlockGraph
  private let memory: CommitMemory
  private let claims: NodeClaims
  private var generation = 0

  /// Takes what the job `id` needs of the graph, unless it has to wait for that. Throws `busy` and
  /// `locked` where somebody stands in the way.
  package init(
    _ chain: BackingChain, mode: EmptyMode, force: Bool, place: Place = .atOnce, id: String,
    graph: BlockGraph, memory: CommitMemory
  ) throws(BlockError) {
    self.chain = chain
    self.mode = mode
    self.force = force
    self.place = place
    self.graph = graph
    self.memory = memory
    claims = NodeClaims(graph, id: id, type: .makeEmpty)
    try chain.top.requireWritable()
    if place != .afterCommit { try takeClaims() }
  }

  private func takeClaims() throws(BlockError) {
    let top = chain.top
    for node in chain.nodes { try graph.requireNoJob(on: node) }
    try claims.take(top, .writer, besides: graph.overlays(of: top))
    for node in chain.nodes.dropFirst() { try claims.take(node, .reader) }
  }

  package var device: DeviceKey { chain.device }
  package var files: [String] { [chain.top.fileName] }

  package func run(_ job: JobContext) async throws(BlockError) {
    try await job.enter(.plan)
    if place != .afterCommit { try await compare(job) }
    if place == .atOnce { try await empty(job) }
  }

  package func finalize(_ job: JobContext) async throws(BlockError) {
    guard place != .atOnce else { return }
    if place == .afterCommit {
      try takeClaims()
      try await compare(job)
    }
    try await empty(job)
  }

  package func cleanUp(_ job: JobContext) async { await claims.giveBack() }

  private func empty(_ job: JobContext) async throws(BlockError) {
    try await job.enter(.flush)
    let (chain, gate) = (chain, graph.gate)
    try await job.perform(.write) { () throws(BlockError) in try chain.makeDurable(from: 1) }
    try await job.enter(.empty)
    if !force {
      try await job.perform(.read) { () throws(BlockError) in
        try chain.requireHeadersLeadBeneath(gate)
      }
    }
    let (top, mode, generation) = (chain.top, mode, generation)
    let operation = try await job.perform(.write) { () throws(BlockError) in
      guard top.writeGeneration == generation else {
        throw BlockError(.busy, "Node '\(top.name)' was written to while it was compared")
      }
      return try top.makeEmpty(mode)
    }
    try await job.run(OperationWork(operation, progress: job.progress))
  }

  /// Throws where a guest would see a change, unless that is wanted or known not to be.
  private func compare(_ job: JobContext) async throws(BlockError) {
    generation = chain.top.writeGeneration
    guard !force, !memory.holds(chain) else { return }
    try await job.enter(.compare)
    let source = CopySource(chain, base: 1)
    let survey = SurveyWork(source)
    try await job.run(survey)
    let work = SameBeneathWork(source, plan: survey.plan, progress: job.progress)
    try await job.run(work)
    guard let difference = work.difference else { return }
    let top = chain.top
    let why =
      chain.nodes.count > 1
      ? "the image under it does not hold the same" : "there is no image under it"
    throw BlockError(
      .invalidArgument, "Emptying '\(top.fileName)' would change what a guest sees: \(why)",
      file: top.fileName, guestOffset: difference)
  }
}
