import BlockCore
import BlockRuntime
import Testing

@testable import BlockJobs

@Suite("From start to end")
@ControlPlane
struct JobLifeTests {
  private let stage: JobStage

  init() throws { stage = try JobStage() }

  @Test("a job that ends by itself says what QEMU's says, in that order")
  func success() async throws {
    let job = try stage.start(ScriptedBody { job throws(BlockError) in try await job.enter(.copy) })
    #expect(stage.log == ["created", "running"], "before the command is answered")
    await stage.end(of: job)
    #expect(
      stage.log == [
        "created", "running", "waiting", "pending", "COMPLETED", "concluded", "null",
      ])
    #expect(stage.registry["j0"] == nil)
    #expect(stage.registry.outcome(of: "j0")?.status == .null)
  }

  @Test("a failed job says why, and is cleaned up")
  func failure() async throws {
    let body = ScriptedBody { job throws(BlockError) in
      try await job.perform(.write) { () throws(BlockError) in
        throw BlockError(.noSpace, "No space left on device")
      }
    }
    let job = try stage.start(body) { $0.autoDismiss = false }
    let end = await stage.end(of: job)
    #expect(
      stage.log == [
        "created", "running", "ERROR(write report)", "aborting",
        "COMPLETED(No space left on device)", "concluded",
      ])
    #expect(end.error == "No space left on device")
    #expect(body.isCleanedUp)
    try job.dismiss()
    #expect(stage.log.last == "null")
    #expect(stage.registry["j0"] == nil)
  }

  @Test("without auto-finalize it waits, pending, for finalize")
  func manualFinalize() async throws {
    var isFinalized = false
    let body = ScriptedBody(ending: { _ in isFinalized = true }) { _ in }
    let job = try stage.start(body) { $0.autoFinalize = false }
    await stage.wait(for: job) { $0.isLeftPending }
    #expect(!isFinalized)
    try job.finalize()
    await stage.end(of: job)
    #expect(isFinalized)
    #expect(
      stage.log == [
        "created", "running", "waiting", "pending", "PENDING", "COMPLETED", "concluded", "null",
      ])
  }

  @Test("cancelled while pending it is never finalized")
  func cancelPending() async throws {
    let body = ScriptedBody(ending: { _ in Issue.record("finalized") }) { _ in }
    let job = try stage.start(body) { $0.autoFinalize = false }
    await stage.wait(for: job) { $0.isLeftPending }
    try job.cancel(force: false)
    await stage.end(of: job)
    #expect(stage.log.suffix(4) == ["aborting", "CANCELLED", "concluded", "null"])
  }

  @Test("an error at the end fails the job, whatever on-error says")
  func finalizeFails() async throws {
    let body = ScriptedBody(
      ending: { job throws(BlockError) in
        try await job.perform(.write) { () throws(BlockError) in
          throw BlockError(.io, "Input/output error")
        }
      }) { _ in }
    let job = try stage.start(body) { $0.onError = .stop }
    await stage.end(of: job)
    #expect(
      stage.log.suffix(5) == [
        "pending", "aborting", "COMPLETED(Input/output error)", "concluded", "null",
      ])
  }

  @Test("jobs that are no block jobs have status events alone")
  func plainJob() async throws {
    await stage.end(of: try stage.start(ScriptedBody(.create) { _ in }))
    #expect(stage.log == ["created", "running", "waiting", "pending", "concluded", "null"])
  }

  @Test("ids are checked, and taken only once")
  func ids() async throws {
    let job = try stage.start(ScriptedBody { _ in }) { $0.autoDismiss = false }
    #expect { try stage.start(ScriptedBody { _ in }) } throws: {
      ($0 as? BlockError)?.message == "Job ID 'j0' already in use"
    }
    #expect { try stage.start(ScriptedBody { _ in }) { $0.id = "1bad id" } } throws: {
      ($0 as? BlockError)?.message == "Invalid job ID '1bad id'"
    }
    await stage.end(of: job)
  }

  @Test("a negative speed is refused, after a job was announced")
  func negativeSpeed() throws {
    #expect { try stage.start(ScriptedBody { _ in }) { $0.speed = -1 } } throws: {
      ($0 as? BlockError)?.message == "Parameter 'speed' expects a non-negative value"
    }
    #expect(stage.log == ["created", "null"])
    #expect(stage.registry["j0"] == nil)
  }

  @Test("the journal hears of a phase before it begins, and can refuse it")
  func journal() async throws {
    let journal = ListJournal(refusing: .switch)
    let stage = try JobStage(journal: journal)
    var hasSwitched = false
    let body = ScriptedBody(
      ending: { job throws(BlockError) in
        try await job.enter(.switch)
        hasSwitched = true
      }
    ) { job throws(BlockError) in
      try await job.enter(.copy)
      #expect(journal.lines == ["copy"])
    }
    let job = try stage.start(body)
    let end = await stage.end(of: job)
    #expect(!hasSwitched)
    #expect(end.error == "the store is full")
    #expect(journal.lines == ["copy", "failed(the store is full)"])
  }

  @Test("at shutdown every job ends, also one that its user paused")
  func shutdown() async throws {
    let job = try stage.start(
      ScriptedBody(canComplete: true) { job throws(BlockError) in
        job.becomeReady()
        _ = try await job.waitForCompletion { false }
      })
    await stage.wait(for: job) { $0.machine.isReady }
    try job.pause()
    await stage.registry.cancelAll()
    #expect(stage.registry.all.isEmpty)
    #expect(stage.log.suffix(5) == ["ready", "aborting", "CANCELLED", "concluded", "null"])
  }
}
