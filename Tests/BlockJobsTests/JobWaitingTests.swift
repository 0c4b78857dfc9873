import BlockCore
import BlockRuntime
import Testing

@testable import BlockJobs

@Suite("Waiting for jobs")
@ControlPlane
struct JobWaitingTests {
  private let clock = ManualClock()
  private let stage: JobStage

  init() throws { stage = try JobStage(clock: clock) }

  /// A job that becomes ready and waits to be completed.
  private func readyJob(
    failing: BlockError? = nil, _ adjust: (inout JobOptions) -> Void = { _ in }
  ) async throws -> Job {
    let body = ScriptedBody(canComplete: true) { job throws(BlockError) in
      job.becomeReady()
      _ = try await job.waitForCompletion { false }
      if let failing { throw failing }
    }
    let job = try stage.start(body, adjust)
    await stage.wait(for: job) { $0.machine.isReady }
    return job
  }

  private func failure(
    _ body: () async throws(BlockError) -> JobSnapshot
  ) async -> BlockError? {
    do throws(BlockError) { _ = try await body() } catch { return error }
    return nil
  }

  @Test("who waits may give up, and the job does not notice")
  func givenUp() async throws {
    let job = try await readyJob()
    let waiting = Task { () -> BlockError? in
      await failure { () throws(BlockError) in
        try await stage.registry.wait(for: "j0", until: .concluded)
      }
    }
    waiting.cancel()
    #expect(await waiting.value?.code == .cancelled)
    #expect(job.machine.isReady)
    #expect(try await stage.registry.completeSync("j0").status == .concluded)
  }

  @Test("complete-sync answers with the result, also of a job that dismisses itself")
  func completeSync() async throws {
    _ = try await readyJob()
    let end = try await stage.registry.completeSync("j0")
    #expect(end.status == .concluded)
    #expect(end.error == nil)
    #expect(stage.log.suffix(3) == ["COMPLETED", "concluded", "null"])
  }

  @Test("complete-sync answers with the error of a job that fails")
  func completeSyncFails() async throws {
    _ = try await readyJob(failing: BlockError(.io, "Input/output error"))
    let error = await failure { () throws(BlockError) in
      try await stage.registry.completeSync("j0")
    }
    #expect(error?.message == "Input/output error")
  }

  @Test("complete-sync of a job that is cancelled meanwhile says so")
  func completeSyncCancelled() async throws {
    let job = try await readyJob()
    try job.pause()
    let waiting = Task {
      await failure { () throws(BlockError) in
        try await stage.registry.completeSync("j0")
      }
    }
    while !job.machine.isCompletionRequested { await Task.yield() }
    try job.cancel(force: true)
    #expect(await waiting.value?.code == .cancelled)
  }

  @Test("complete-sync of a job left pending says that it is")
  func completeSyncPending() async throws {
    let job = try await readyJob { $0.autoFinalize = false }
    #expect(try await stage.registry.completeSync("j0").status == .pending)
    try job.finalize()
    // Its last step has begun: it is not left to anybody any more, and who asks now waits.
    #expect(job.machine.status == .pending && !job.isLeftPending)
    await stage.end(of: job)
  }

  @Test("complete-sync of a job that is not ready is busy, of one that never is impossible")
  func completeSyncRefused() async throws {
    let unready = ScriptedBody(canComplete: true) { job throws(BlockError) in
      _ = try await job.waitForCompletion { false }
    }
    let job = try stage.start(unready)
    let busy = await failure { () throws(BlockError) in
      try await stage.registry.completeSync("j0")
    }
    #expect(busy?.code == .busy)
    #expect(busy?.message == "Job 'j0' in state 'running' cannot accept command verb 'complete'")
    try job.cancel(force: true)
    await stage.end(of: job)

    let never = try stage.start(
      ScriptedBody { job throws(BlockError) in
        _ = try await job.waitForCompletion { false }
      })
    let impossible = await failure { () throws(BlockError) in
      try await stage.registry.completeSync("j0")
    }
    #expect(impossible?.message == "The active block job 'j0' cannot be completed")
    try never.cancel(force: true)
    await stage.end(of: never)
    let unknown = await failure { () throws(BlockError) in
      try await stage.registry.completeSync("j1")
    }
    #expect(unknown?.message == "Job not found")
  }

  @Test("at the timeout the answer is an error, and the job goes on")
  func timeout() async throws {
    let job = try await readyJob()
    try job.pause()
    let waiting = Task {
      await failure { () throws(BlockError) in
        try await stage.registry.completeSync("j0", timeout: 5_000_000_000)
      }
    }
    while clock.nextAlarm == nil { await Task.yield() }
    clock.advance(by: 5_000_000_000)
    #expect(await waiting.value?.message == "Timed out waiting for job 'j0'")
    #expect(!job.machine.isConcluded)
    try job.resume()
    #expect(await stage.end(of: job).error == nil)
  }

  @Test("wait returns at ready, or at the end")
  func waits() async throws {
    let job = try await readyJob()
    #expect(try await stage.registry.wait(for: "j0", until: .ready).status == .ready)
    let end = Task { try await stage.registry.wait(for: "j0", until: .concluded) }
    try job.complete()
    #expect(try await end.value.status == .concluded)
  }

  @Test("wait for ready returns where a job is past that and waits for finalize")
  func waitsPending() async throws {
    let job = try await readyJob { $0.autoFinalize = false }
    try job.complete()
    #expect(try await stage.registry.completeSync("j0").status == .pending)
    #expect(try await stage.registry.wait(for: "j0", until: .ready).status == .pending)
    try job.finalize()
    await stage.end(of: job)
  }

  @Test("who asks late is told how a job ended that is gone")
  func late() async throws {
    let job = try await readyJob(failing: BlockError(.io, "Input/output error"))
    try job.complete()
    await stage.end(of: job)
    #expect(stage.registry["j0"] == nil)
    let outcome = try await stage.registry.wait(for: "j0", until: .concluded)
    #expect(outcome.error == "Input/output error")
    let unknown = await failure { () throws(BlockError) in
      try await stage.registry.wait(for: "j1", until: .ready)
    }
    #expect(unknown?.code == .notFound)
  }
}
