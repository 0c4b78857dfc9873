import BlockCore
import BlockGraph
import BlockIO
import BlockJobs
import BlockRuntime
import ImageFormats
import TestSupport

/// Whole commits, by the jobs that the daemon runs, with their events in the log.
///
/// Isolation: one task.
struct CommitRun {
  private let scene: CrashScene

  init(_ scene: CrashScene) { self.scene = scene }

  /// Commits the top into the image under it, and empties the top.
  func active() async throws {
    try await run(
      top: scene.names.count - 1, base: scene.names.count - 2, emptiesTop: true,
      after: try scene.afterActiveCommit())
  }

  /// Commits what lies between the top and the base into the base.
  func intermediate() async throws {
    try await run(
      top: scene.names.count - 2, base: 0, emptiesTop: false,
      after: try scene.afterIntermediateCommit())
  }

  private func run(top: Int, base: Int, emptiesTop: Bool, after: CrashExpectation) async throws {
    scene.expect(CrashExpectation(views: [scene.top: [try scene.view(scene.top)]]))
    try await CommitRun.commit(
      try images, scene.names, log: scene.log, top: top, base: base, emptiesTop: emptiesTop)
    if let completion = scene.completion { scene.expect(after, from: completion) }
  }

  private var images: [any ImageDriver] {
    get throws { try scene.names.indices.map { try scene.openDriver($0, readOnly: false) } }
  }

  @ControlPlane
  private static func commit(
    _ images: [any ImageDriver], _ names: [String], log: StorageLog, top: Int, base: Int,
    emptiesTop: Bool
  ) async throws {
    let graph = BlockGraph(gate: try OpenGate(roots: []))
    let registry = JobRegistry(graph: graph) { event in
      log.append(.note(event.name))
    }
    var nodes: [BlockNode] = []
    for (name, image) in zip(names, images) {
      let node = BlockNode(
        name: name, driverName: image.format, image: image, fileName: name,
        device: DeviceKey(1), options: NodeOptions(discard: .unmap))
      graph.insert(node, over: nodes.last)
      nodes.append(node)
    }
    let chain = graph.chain(from: nodes[top])
    var request = CommitJob.Request(chain: chain, base: top - base)
    request.emptiesTop = emptiesTop
    var options = JobOptions(id: "j0")
    options.autoComplete = true
    try registry.start(options) { () throws(BlockError) in
      try CommitJob(request, id: "j0", graph: graph, memory: registry.commits)
    }
    let end = try await registry.wait(for: "j0", until: .concluded)
    if let failure = end.failure { throw failure }
  }
}

extension JobEvent {
  /// The name by which clients hear of it.
  fileprivate var name: String {
    switch self {
    case .statusChanged: "JOB_STATUS_CHANGE"
    case .ready: "BLOCK_JOB_READY"
    case .completed(_, nil): CrashScene.completed
    case .completed: "BLOCK_JOB_COMPLETED with an error"
    case .cancelled: "BLOCK_JOB_CANCELLED"
    case .pending: "BLOCK_JOB_PENDING"
    case .error: "BLOCK_JOB_ERROR"
    }
  }
}
