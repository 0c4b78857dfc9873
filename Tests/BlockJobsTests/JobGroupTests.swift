import BlockCore
import BlockGraph
import BlockRuntime
import TestSupport
import Testing

@testable import BlockJobs

@Suite("Jobs that are one decision")
@ControlPlane
struct JobGroupTests {
  private let stage: JobStage

  init() throws { stage = try JobStage() }

  /// Something that a body waits for.
  @ControlPlane
  private final class Hold {
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var isOpen = false

    func wait() async {
      if !isOpen { await withCheckedContinuation { waiting.append($0) } }
    }

    func open() {
      isOpen = true
      waiting.forEach { $0.resume() }
      waiting = []
    }
  }

  /// Starts a group of jobs, each with its id; returns them.
  private func start(
    _ bodies: [(id: String, body: any JobBody)], on other: JobStage? = nil,
    _ adjust: (inout JobOptions) -> Void = { _ in }
  ) async throws -> [Job] {
    let stage = other ?? stage
    let requests = bodies.map { id, body in
      var options = JobOptions(id: id)
      options.autoDismiss = false
      adjust(&options)
      return JobRequest(options) { () throws(BlockError) in body }
    }
    try await stage.registry.start(all: requests, grouped: true)
    return bodies.compactMap { stage.registry[$0.id] }
  }

  /// The states of job `id` so far.
  private func states(_ id: String) -> [String] {
    stage.events.compactMap {
      if case .statusChanged(id: id, status: let status) = $0 { status.rawValue } else { nil }
    }
  }

  private func reached(_ job: Job, _ status: JobStatus) async {
    await stage.wait(for: job) { $0.machine.status == status }
  }

  @Test("none is pending before all have done their work, and commits end first")
  func order() async throws {
    let hold = Hold()
    var ends: [String] = []
    let jobs = try await start([
      (
        "empty",
        ScriptedBody(.makeEmpty) { _ in
          ends.append("empty")
        } _: { _ in
        }
      ),
      (
        "one",
        ScriptedBody { _ in
          ends.append("one")
        } _: { _ in
        }
      ),
      (
        "two",
        ScriptedBody { _ in
          ends.append("two")
        } _: { _ in
          await hold.wait()
        }
      ),
    ])
    await reached(jobs[0], .waiting)
    await reached(jobs[1], .waiting)
    #expect(ends.isEmpty && states("two") == ["created", "running"])
    hold.open()
    for job in jobs { #expect(await stage.end(of: job).failure == nil) }
    #expect(ends == ["one", "two", "empty"])
    for id in ["empty", "one", "two"] {
      #expect(states(id) == ["created", "running", "waiting", "pending", "concluded"])
    }
  }

  @Test("a failure of one before that cancels all, wherever they are")
  func failure() async throws {
    let hold = Hold()
    var ends = 0
    let jobs = try await start([
      (
        "waits",
        ScriptedBody { _ in
          ends += 1
        } _: { _ in
        }
      ),
      (
        "runs",
        ScriptedBody { _ in
          ends += 1
        } _: { job throws(BlockError) in
          try await job.run(CountedWork(pieces: 1_000_000))
        }
      ),
      (
        "fails",
        ScriptedBody { _ in
          ends += 1
        } _: { _ throws(BlockError) in
          await hold.wait()
          throw BlockError(.io, "Input/output error")
        }
      ),
    ]) { $0.speed = $0.id == "runs" ? 1 : 0 }
    await reached(jobs[0], .waiting)
    hold.open()
    #expect(await stage.end(of: jobs[2]).error == "Input/output error")
    #expect(await stage.end(of: jobs[0]).isCancelled)
    #expect(await stage.end(of: jobs[1]).isCancelled)
    #expect(ends == 0)
    #expect(states("waits") == ["created", "running", "waiting", "aborting", "concluded"])
  }

  @Test("one that fails by itself while its group stops it, and not its user, keeps its own error")
  func ownFailure() async throws {
    for isCancelledByUser in [false, true] {
      let stage = try JobStage()
      let (first, second) = (Hold(), Hold())
      func failing(_ hold: Hold, _ sentence: String) -> ScriptedBody {
        ScriptedBody { _ throws(BlockError) in
          await hold.wait()
          throw BlockError(.noSpace, sentence)
        }
      }
      let jobs = try await start(
        [
          ("one", failing(first, "No space left on device")),
          ("two", failing(second, "File too large")),
        ], on: stage)
      if isCancelledByUser { try jobs[1].cancel(force: true) }
      first.open()
      let one = await stage.end(of: jobs[0])
      #expect(one.error == "No space left on device" && !one.isCancelled)
      second.open()
      let two = await stage.end(of: jobs[1])
      #expect(two.isCancelled == isCancelledByUser)
      #expect(two.error == (isCancelledByUser ? "Operation canceled" : "File too large"))
      let ends = stage.events.compactMap { event -> String? in
        switch event {
        case .completed(let facts, let error): "\(facts.device): \(error ?? "")"
        case .cancelled(let facts): "\(facts.device) cancelled"
        default: nil
        }
      }
      let last = isCancelledByUser ? "two cancelled" : "two: File too large"
      #expect(ends == ["one: No space left on device", last])
    }
  }

  @Test("a cancel of one that waits or is pending cancels all", arguments: [true, false])
  func cancel(isPending: Bool) async throws {
    let hold = Hold()
    var ends = 0
    let jobs = try await start([
      (
        "one",
        ScriptedBody { _ in
          ends += 1
        } _: { _ in
        }
      ),
      (
        "two",
        ScriptedBody { _ in
          ends += 1
        } _: { _ in
          await hold.wait()
        }
      ),
    ]) { $0.autoFinalize = false }
    await reached(jobs[0], .waiting)
    if isPending {
      hold.open()
      await reached(jobs[1], .pending)
    }
    try jobs[0].cancel(force: false)
    hold.open()
    for job in jobs { #expect(await stage.end(of: job).isCancelled) }
    #expect(ends == 0)
  }

  @Test("one that has to be finalized holds all, and to finalize one is to finalize all")
  func finalize() async throws {
    var ends = 0
    let jobs = try await start([
      (
        "one",
        ScriptedBody { _ in
          ends += 1
        } _: { _ in
        }
      ),
      (
        "two",
        ScriptedBody { _ in
          ends += 1
        } _: { _ in
        }
      ),
    ]) { $0.autoFinalize = $0.id == "one" }
    await reached(jobs[0], .pending)
    #expect(jobs[0].isLeftPending && jobs[1].isLeftPending && ends == 0)
    #expect(stage.log.filter { $0 == "PENDING" }.count == 1)
    try jobs[0].finalize()
    #expect(throws: BlockError.self) { try jobs[1].finalize() }
    #expect(throws: BlockError.self) { try jobs[1].cancel(force: true) }
    for job in jobs { #expect(await stage.end(of: job).failure == nil) }
    #expect(ends == 2)
  }

  @Test("a last step that fails is told, and the others are done")
  func lateFailure() async throws {
    var ends = 0
    let jobs = try await start(
      [
        (
          "fails",
          ScriptedBody { _ throws(BlockError) in
            throw BlockError(.io, "Input/output error")
          } _: { _ in
          }
        ),
        (
          "goes-on",
          ScriptedBody { _ in
            ends += 1
          } _: { _ in
          }
        ),
      ])
    #expect(await stage.end(of: jobs[0]).error == "Input/output error")
    #expect(await stage.end(of: jobs[1]).failure == nil)
    #expect(ends == 1)
  }

  @Test("nodes of one stay open until all have done their last steps: another may need them")
  func ownNodes() async throws {
    _ = try stage.raw("shared", size: 1 << 20)
    let hold = Hold()
    let jobs = try await start(
      [
        (
          "commit",
          ScriptedBody { _ in
          } _: { _ in
          }
        ),
        (
          "empty",
          ScriptedBody(.makeEmpty) { _ in
            await hold.wait()
          } _: { _ in
          }
        ),
      ]) { $0.ownNodes = $0.id == "commit" ? ["shared"] : [] }
    #expect(await stage.end(of: jobs[0]).failure == nil)
    #expect(stage.graph.node(named: "shared") != nil)
    hold.open()
    #expect(await stage.end(of: jobs[1]).failure == nil)
    #expect(stage.graph.node(named: "shared") == nil)
  }

  @Test("if one cannot begin none does, and what the others hold is given back")
  func allOrNone() async throws {
    let base = try stage.qcow2("base", size: 1 << 20)
    let top = try stage.qcow2("top", size: 1 << 20, over: base)
    func request(_ id: String) -> JobRequest {
      JobRequest(JobOptions(id: id)) { () throws(BlockError) in
        try CommitJob(
          CommitJob.Request(chain: stage.graph.chain(from: top), base: 1), id: id,
          graph: stage.graph, memory: stage.registry.commits)
      }
    }
    for ids in [["a", "b"], ["a", "a"], ["a", "1"]] {
      await #expect(throws: BlockError.self) {
        try await stage.registry.start(all: ids.map(request), grouped: true)
      }
      #expect(stage.registry.all.isEmpty && stage.events.isEmpty)
    }
    let job = try stage.commit(top, into: base) { $1.autoComplete = true }
    #expect(await stage.end(of: job).failure == nil)
  }
}
