package import BlockCore
package import BlockGraph
import BlockIO
package import BlockRuntime
import ImageFormats

/// Copies up into a node what it shows of the layers between it and a base, and then lets the base,
/// or nothing, lie directly under it.
///
/// At every moment, whatever is interrupted, the node reads as before, and so do its overlays: what
/// is copied is what it shows already, and it is durable before the header points past the layers
/// it came from. The header is switched durably before anybody hears that the job is done. What a
/// crash leaves: a node that holds more than before, over the old layers or over the base. The
/// layers between are not written to, and stay valid.
///
/// Tests: `CrashSmokeTests` (stream: to the base, all, into and to a middle layer, with another
/// name of the base), `RecordedSmokeTests`, `KillSmokeTests`, `FaultSmokeTests`.
///
/// Nobody else may write to the node meanwhile.
///
/// Isolation: control plane.
@ControlPlane
package final class StreamJob: JobBody {
  /// What to stream.
  package struct Request {
    /// The chain from the node that is copied into down to its end.
    package var chain: BackingChain
    /// Where the new backing node stands in it, at least 1; the number of layers for none.
    package var base: Int
    /// What the header is to call the base; its own name when nil.
    package var backingFile: String?

    package init(chain: BackingChain, base: Int, backingFile: String? = nil) {
      self.chain = chain
      self.base = base
      self.backingFile = backingFile
    }
  }

  package let type = JobType.stream
  package let canComplete = false
  private let graph: BlockGraph
  private let source: CopySource
  private let claims: NodeClaims
  /// What the header is to say; nil for no backing file.
  private var link: BackingLink?
  private let isLinkGiven: Bool
  private var copy: CopyWork?

  private var top: BlockNode { source.chain.top }
  private var base: BlockNode? {
    source.base < source.chain.nodes.count ? source.chain.nodes[source.base] : nil
  }
  /// Whether anything lies under the node: else there is nothing to do.
  private var hasBacking: Bool { source.chain.nodes.count > 1 }

  /// Takes what the job `id` needs of the graph. Throws `busy` and `locked` where somebody stands
  /// in the way.
  package init(_ request: Request, id: String, graph: BlockGraph) throws(BlockError) {
    self.graph = graph
    source = CopySource(upInto: request.chain, from: request.base)
    isLinkGiven = request.backingFile != nil
    claims = NodeClaims(graph, id: id, type: .stream)
    if let base {
      link = BackingLink(
        bytes: request.backingFile.map { Array($0.utf8) } ?? base.path,
        format: base.image.format)
    }
    try takeClaims()
  }

  package var device: DeviceKey { source.chain.device }
  package var files: [String] { source.chain.nodes[..<source.base].map(\.fileName) }

  private func takeClaims() throws(BlockError) {
    let layers = Array(source.chain.nodes[..<source.base])
    for node in layers { try graph.requireNoJob(on: node) }
    try claims.take(top, hasBacking ? .writer : .reader, besides: graph.overlays(of: top))
    for node in layers.dropFirst() + [base].compactMap(\.self) {
      try claims.take(node, .reader, besides: layers)
    }
    try claims.keep(source.chain.nodes.dropFirst(source.base + 1))
  }

  // MARK: The work

  package func run(_ job: JobContext) async throws(BlockError) {
    guard hasBacking else { return }
    try await job.enter(.plan)
    try await prepare(job)
    guard source.base > 1 else { return }
    let survey = SurveyWork(source)
    try await job.run(survey)
    let copy = CopyWork(source, plan: survey.plan, progress: job.progress)
    self.copy = copy
    try await job.enter(.copy)
    try await job.run(copy)
    try await job.enter(.flush)
    let (chain, base) = (source.chain, source.base)
    try await job.perform(.write) { () throws(BlockError) in
      try chain.top.flush()
      // What shows already without the layers that go is not copied. Nobody may have flushed it.
      try chain.makeDurable(from: base)
    }
  }

  /// Opens the node for writing, and checks that the header can be changed later.
  private func prepare(_ job: JobContext) async throws(BlockError) {
    try await claims.openForWriting(top)
    if let base, !isLinkGiven {
      let gate = graph.gate
      link?.bytes = try await job.perform(.read) { () throws(BlockError) in
        try base.headerName(gate)
      }
    }
    let (top, link) = (top, link)
    try await job.perform(.read) { () throws(BlockError) in
      try top.withWholeImage { (image) throws(BlockError) in
        try image.checkBackingLink(link)
      }
    }
  }

  package func finalize(_ job: JobContext) async throws(BlockError) {
    guard hasBacking else { return }
    try await job.enter(.switch)
    if let base, let link, !isLinkGiven {
      let gate = graph.gate
      try await job.perform(.read) { () throws(BlockError) in
        try base.requireFile(at: link.bytes, gate)
      }
    }
    // The layers between are closed when the node has left them.
    claims.release(source.chain.nodes[1..<source.base])
    try await graph.dropIntermediates(under: top, to: base, writing: link)
  }

  package func cleanUp(_ job: JobContext) async {
    let copied = copy?.bytesCopied ?? 0
    job.setResult { $0.bytesCopied = copied }
    await claims.giveBack()
  }
}
