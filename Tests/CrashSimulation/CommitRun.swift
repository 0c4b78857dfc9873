import BlockCore
import BlockGraph
import BlockIO
import BlockJobs
import BlockRuntime
import ImageFormats
import Synchronization
import TestSupport

/// Whole commits and streams, by the jobs that the daemon runs, with their events in the log.
///
/// Isolation: one task.
struct CommitRun {
  /// What a guest does while the job is ready.
  ///
  /// Isolation: value.
  enum GuestStep: Sendable {
    case write([UInt8], at: Int)
    case flush
  }

  let scene: CrashScene

  init(_ scene: CrashScene) { self.scene = scene }

  /// Commits the top into the image under it, and empties the top. A guest uses it meanwhile.
  func active(_ guest: [GuestStep] = []) async throws {
    try await run(
      top: scene.names.count - 1, base: scene.names.count - 2, emptiesTop: true, guest
    ) { view in
      try scene.afterActiveCommit(of: view)
    }
  }

  /// Commits as `active` does what the image under the top shows already: zeros, that somebody else
  /// has written far below, and not flushed. Nothing but that keeps them when the top is empty.
  func activeOverUnflushed() async throws {
    let images = try images
    let (top, lowest) = (images[images.count - 1], images[0])
    var view = try scene.view(scene.top)
    let range = ByteRange(at: 0, length: min(view.size, lowest.virtualSize, CrashLayout.busyBytes))
    view.writeZeroes(range)
    scene.expect(CrashExpectation(views: [scene.top: [view]]))
    let beneath = LayeredView(images.reversed().dropFirst())
    try top.writeZeroes(range, deallocate: true, over: beneath)
    try top.flush()
    view.settle()
    try lowest.writeZeroes(range, deallocate: true, over: nil)
    try await run(
      top: images.count - 1, base: images.count - 2, emptiesTop: true, [], images
    ) { view in
      try scene.afterActiveCommit(of: view)
    }
  }

  /// Commits what lies between the top and the base into the base.
  func intermediate() async throws {
    try await run(top: scene.names.count - 2, base: 0, emptiesTop: false, []) { _ in
      try scene.afterIntermediateCommit()
    }
  }

  private func run(
    top: Int, base: Int, emptiesTop: Bool, _ guest: [GuestStep],
    _ images: [any ImageDriver]? = nil, _ after: (CrashView) throws -> CrashExpectation
  ) async throws {
    let fileRunBytes = scene.fileRunBytes
    try await run(top: top, guest, images, after) { graph, nodes, memory throws(BlockError) in
      var request = CommitJob.Request(chain: graph.chain(from: nodes[top]), base: top - base)
      request.emptiesTop = emptiesTop
      if let fileRunBytes { request.fileRunBytes = fileRunBytes }
      return try CommitJob(request, id: "j0", graph: graph, memory: memory)
    }
  }

  /// `after` is asked before anything is done; it gets what the top shows in the end. `before` must
  /// hold until then; that the top is as it was if nothing else is said. The images are `opened`,
  /// where they are open already.
  func run(
    top: Int, _ guest: [GuestStep] = [], _ opened: [any ImageDriver]? = nil,
    before: CrashExpectation? = nil,
    _ after: (CrashView) throws -> CrashExpectation, _ make: @escaping Make
  ) async throws {
    let guestView = try scene.view(scene.top)
    var end = guestView
    for case .write(let bytes, let offset) in guest { end.write(bytes, at: offset) }
    end.settle()
    let expected = try after(end)
    scene.expect(before ?? CrashExpectation(views: [scene.top: [guestView]]))
    let positions = Mutex<[Int]>([])
    defer {
      expect(guest, from: guestView, at: positions.withLock { $0 })
      if let completion = scene.completion { scene.expect(expected, from: completion) }
    }
    let log = scene.log
    try await CommitRun.run(try opened ?? images, scene.names, log: log, top: top, make, guest) {
      positions.withLock { $0.append(log.entries.count) }
    }
  }

  /// Expects what the guest's steps have made of its disk since each of the log's `positions`.
  private func expect(_ guest: [GuestStep], from view: CrashView, at positions: [Int]) {
    var view = view
    for (step, position) in zip(guest, positions) {
      switch step {
      case .write(let bytes, let offset): view.write(bytes, at: offset)
      case .flush: view.settle()
      }
      scene.expect(CrashExpectation(views: [scene.top: [view]]), from: position)
    }
  }

  /// Makes the job, of a graph whose nodes lie over one another in this order.
  typealias Make =
    @ControlPlane @Sendable (BlockGraph, [BlockNode], CommitMemory) throws(BlockError) ->
    any JobBody

  private var images: [any ImageDriver] {
    get throws { try scene.names.indices.map { try scene.openDriver($0, readOnly: false) } }
  }

  @ControlPlane
  private static func run(
    _ images: [any ImageDriver], _ names: [String], log: StorageLog, top: Int,
    _ make: @escaping Make, _ guest: [GuestStep], noting note: @Sendable () -> Void
  ) async throws {
    let graph = BlockGraph(gate: try OpenGate(roots: []))
    let registry = JobRegistry(graph: graph) { event in
      log.append(.note(event.name))
    }
    var nodes: [BlockNode] = []
    for (name, image) in zip(names, images) {
      // Where the files are real, their names are looked at.
      let node = BlockNode(
        name: name, driverName: image.format, image: image,
        fileName: (image.dataStorage as? HostFile)?.name ?? name,
        device: DeviceKey(1), options: NodeOptions(discard: .unmap))
      graph.insert(node, over: nodes.last)
      nodes.append(node)
    }
    var options = JobOptions(id: "j0")
    options.autoComplete = guest.isEmpty
    try registry.start(options) { () throws(BlockError) in
      try make(graph, nodes, registry.commits)
    }
    var guestFailure: BlockError?
    if !guest.isEmpty, try await registry.wait(for: "j0", until: .ready).isReady {
      do throws(BlockError) {
        let chain = graph.chain(from: nodes[top])
        for step in guest { try CommitRun.carryOut(step, on: chain, log, noting: note) }
        try registry["j0"]?.complete()
      } catch {
        guestFailure = error
        try? registry["j0"]?.cancel(force: true)
      }
    }
    let end = try await registry.wait(for: "j0", until: .concluded)
    if let failure = guestFailure ?? end.failure { throw failure }
  }

  /// A write may be there as soon as it begins; a flush has made sure of it when it has ended.
  private static func carryOut(
    _ step: GuestStep, on chain: BackingChain, _ log: StorageLog, noting note: () -> Void
  ) throws(BlockError) {
    switch step {
    case .write(let bytes, let offset):
      note()
      try bytes.withBytes { (span) throws(BlockError) in try chain.write(span, at: offset) }
    case .flush:
      try chain.top.flush()
      note()
      log.append(.note(CrashScene.Answer.flushed.rawValue))
    }
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
