import BlockCore
import BlockIO
import BlockRuntime
import ImageFormats
import TestSupport
import Testing

@testable import BlockGraph
@testable import BlockJobs

/// A clock that goes when it is told to.
@ControlPlane
final class ManualClock: JobClock {
  private(set) var nanoseconds: UInt64 = 1_000_000_000
  private var alarms: [Alarm] = []

  private final class Alarm: JobAlarm {
    let due: UInt64
    let handler: @Sendable @ControlPlane () -> Void
    var isCancelled = false

    init(due: UInt64, handler: @escaping @Sendable @ControlPlane () -> Void) {
      self.due = due
      self.handler = handler
    }

    func cancel() { isCancelled = true }
  }

  /// When the next alarm goes off, from now; nil when none is set.
  var nextAlarm: UInt64? {
    alarms.filter { !$0.isCancelled }.map { $0.due - nanoseconds }.min()
  }

  func alarm(
    after delay: UInt64, _ handler: @escaping @Sendable @ControlPlane () -> Void
  ) -> any JobAlarm {
    let alarm = Alarm(due: nanoseconds + delay, handler: handler)
    alarms.append(alarm)
    return alarm
  }

  /// Lets time pass, and calls whatever is due.
  func advance(by delay: UInt64) {
    nanoseconds += delay
    let due = alarms.filter { $0.due <= nanoseconds && !$0.isCancelled }
    alarms.removeAll { $0.due <= nanoseconds || $0.isCancelled }
    for alarm in due.sorted(by: { $0.due < $1.due }) { alarm.handler() }
  }
}

/// A registry over a graph of images in memory, and everything that its jobs say.
@ControlPlane
final class JobStage {
  let graph: BlockGraph
  let clock: (any JobClock)?
  private(set) var registry: JobRegistry
  private(set) var events: [JobEvent] = []

  init(clock: (any JobClock)? = nil, journal: any JobJournal = NoJournal()) throws {
    graph = BlockGraph(gate: try OpenGate(roots: []))
    self.clock = clock
    registry = JobRegistry(graph: graph, events: { _ in })
    registry = JobRegistry(
      graph: graph, clock: clock ?? SystemJobClock(), journal: journal,
      events: { [unowned self] in events.append($0) })
  }

  /// What was said, as one line each.
  var log: [String] { events.map(\.line) }

  /// Returns when `condition` holds.
  func wait(for job: Job, _ condition: @escaping @ControlPlane (Job) -> Bool) async {
    await withCheckedContinuation { continuation in
      _ = job.when(condition) { _ in continuation.resume() }
    }
  }

  /// Returns how the job ended.
  @discardableResult
  func end(of job: Job) async -> JobSnapshot {
    await withCheckedContinuation { continuation in
      _ = job.when {
        $0.machine.isConcluded
      } _: {
        continuation.resume(returning: $0)
      }
    }
  }

  /// Starts a job named `j0`.
  func start(
    _ body: any JobBody, _ adjust: (inout JobOptions) -> Void = { _ in }
  ) throws(BlockError) -> Job {
    var options = JobOptions(id: "j0")
    adjust(&options)
    return try registry.start(options) { body }
  }

  // MARK: Images

  /// Puts an open image into the graph.
  func add(
    _ name: String, _ image: any ImageDriver, over backing: BlockNode? = nil,
    detectZeroes: NodeOptions.DetectZeroes = .off
  ) -> BlockNode {
    let node = BlockNode(
      name: name, driverName: image.format, image: image, fileName: "/\(name)",
      device: DeviceKey(1),
      options: NodeOptions(discard: .unmap, detectZeroes: detectZeroes))
    graph.insert(
      GraphEntry(
        node: node, backing: backing, backingName: image.backingLink?.name,
        isOwnedByClient: false, origin: .client,
        settings: AccessSettings(isReadOnly: image.isReadOnly)))
    return node
  }

  /// A new qcow2 image.
  func qcow2(
    _ name: String, size: Int, version: Int = 3, clusterSize: Int = 65_536,
    over backing: BlockNode? = nil, on storage: (any Storage)? = nil, readOnly: Bool = false,
    cacheBytes: Int = Limits.metadataCacheBytes,
    detectZeroes: NodeOptions.DetectZeroes = .off
  ) throws -> BlockNode {
    let storage = storage ?? MemoryStorage(name: name)
    var options = Qcow2CreateOptions(size: size)
    options.version = version
    options.clusterSize = clusterSize
    options.backing = backing.map { BackingLink(name: $0.fileName, format: $0.image.format) }
    try Qcow2Create.create(options, on: storage)
    let image = try Qcow2Image.open(
      on: storage, readOnly: readOnly, budget: CacheBudget(bytes: cacheBytes))
    return add(name, image, over: backing, detectZeroes: detectZeroes)
  }

  /// A raw image of zeros.
  func raw(_ name: String, size: Int, traits: StorageTraits = StorageTraits()) throws -> BlockNode {
    let storage = MemoryStorage(size: size, name: name, traits: traits)
    return add(name, try RawImage.open(on: storage, readOnly: traits.isReadOnly))
  }

  func write(_ bytes: [UInt8], to node: BlockNode, at offset: Int) throws {
    let chain = graph.chain(from: node)
    try bytes.withBytes { (span) throws(BlockError) in try chain.write(span, at: offset) }
  }

  /// All that a guest sees through `node`.
  func view(_ node: BlockNode) throws -> [UInt8] { try graph.chain(from: node).allBytes() }

  /// Starts a commit of `top` into `base`.
  func commit(
    _ top: BlockNode, into base: BlockNode, id: String = "j0",
    _ adjust: (inout CommitJob.Request, inout JobOptions) -> Void = { _, _ in }
  ) throws -> Job {
    let chain = graph.chain(from: top)
    let index = try #require(chain.nodes.firstIndex { $0 === base })
    var request = CommitJob.Request(chain: chain, base: index)
    var options = JobOptions(id: id)
    adjust(&request, &options)
    return try registry.start(options) { () throws(BlockError) in
      try CommitJob(request, id: id, graph: graph, memory: registry.commits)
    }
  }
}

extension BackingChain {
  func allBytes() throws(BlockError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xee, count: virtualSize)
    try bytes.withMutableBytes { (span) throws(BlockError) in try read(into: &span, at: 0) }
    return bytes
  }
}

extension JobEvent {
  /// The event on one line, without the numbers of its facts.
  var line: String {
    switch self {
    case .statusChanged(_, let status): status.rawValue
    case .ready: "READY"
    case .completed(_, let error): error.map { "COMPLETED(\($0))" } ?? "COMPLETED"
    case .cancelled: "CANCELLED"
    case .pending: "PENDING"
    case .error(_, let operation, let action): "ERROR(\(operation) \(action))"
    }
  }
}

/// A body whose steps are given by a test.
@ControlPlane
final class ScriptedBody: JobBody {
  let type: JobType
  let canComplete: Bool
  let device = DeviceKey(2)
  let files = ["file"]
  private let script: @ControlPlane (JobContext) async throws(BlockError) -> Void
  private let ending: @ControlPlane (JobContext) async throws(BlockError) -> Void
  private(set) var isCleanedUp = false

  init(
    _ type: JobType = .commit, canComplete: Bool = false,
    ending: @escaping @ControlPlane (JobContext) async throws(BlockError) -> Void = { _ in },
    _ script: @escaping @ControlPlane (JobContext) async throws(BlockError) -> Void
  ) {
    self.type = type
    self.canComplete = canComplete
    self.script = script
    self.ending = ending
  }

  func run(_ job: JobContext) async throws(BlockError) { try await script(job) }
  func finalize(_ job: JobContext) async throws(BlockError) { try await ending(job) }
  func cleanUp(_ job: JobContext) async { isCleanedUp = true }
}
