import BlockCore
import BlockRuntime
import ImageFormats
import TestSupport
import Testing

@testable import BlockJobs

@Suite("Pause, resume, cancel, speed")
@ControlPlane
struct JobControlTests {
  private static let slice = RateLimiter.sliceNanoseconds
  private let clock = ManualClock()
  private let stage: JobStage

  init() throws { stage = try JobStage(clock: clock) }

  /// A job whose every step of 1000 bytes fills a slice, so that it stops after each until the
  /// clock goes on.
  private func slowJob(_ work: CountedWork) throws -> Job {
    try stage.start(ScriptedBody { job throws(BlockError) in try await job.run(work) }) {
      $0.speed = 10_000
    }
  }

  /// Returns when `condition` holds; the control plane goes on meanwhile.
  private func until(_ condition: () -> Bool) async {
    while !condition() { await Task.yield() }
  }

  @Test("a throttled job does a slice's share, then waits without a lane")
  func throttled() async throws {
    let work = CountedWork(pieces: 3)
    let job = try slowJob(work)
    for done in 1...3 {
      await until { clock.nextAlarm != nil && !job.pump.isBusy }
      #expect(work.done.count == done)
      #expect(clock.nextAlarm == Self.slice)
      clock.advance(by: Self.slice)
    }
    await stage.end(of: job)
  }

  @Test("a paused job does nothing, however long, and goes on where it was")
  func pause() async throws {
    let work = CountedWork(pieces: 3)
    let job = try slowJob(work)
    await until { work.done.count == 1 && clock.nextAlarm != nil }
    try job.pause()
    #expect(stage.log.last == "paused")
    #expect(job.snapshot.isPaused)
    clock.advance(by: 1000 * Self.slice)
    #expect(clock.nextAlarm == nil, "nothing is waited for but the user")
    #expect(work.done.count == 1)

    try job.resume()
    #expect(stage.log.last == "running")
    await until { work.done.count == 2 && clock.nextAlarm != nil }
    #expect(clock.nextAlarm == Self.slice, "the pause earned nothing")
    try job.cancel(force: true)
    await stage.end(of: job)
    #expect(work.done == [0, 1])
  }

  @Test("a pause does not shorten the wait of a throttled job")
  func pauseEarnsNothing() async throws {
    let work = CountedWork(pieces: 3)
    let job = try slowJob(work)
    await until { work.done.count == 1 && clock.nextAlarm != nil }
    clock.advance(by: Self.slice / 2)
    try job.pause()
    try job.resume()
    #expect(clock.nextAlarm == Self.slice / 2)
    try job.cancel(force: true)
    await stage.end(of: job)
  }

  @Test("a new speed counts at once")
  func setSpeed() async throws {
    let work = CountedWork(pieces: 50)
    let job = try slowJob(work)
    await until { work.done.count == 1 && clock.nextAlarm != nil }
    try job.setSpeed(0)
    await stage.end(of: job)
    #expect(work.done == Array(0..<50))
    #expect { try job.setSpeed(-1) } throws: { _ in true }
  }

  @Test("a cancel of a paused or throttled job ends it at once", arguments: [true, false])
  func cancel(isPaused: Bool) async throws {
    let job = try slowJob(CountedWork(pieces: 3))
    await until { clock.nextAlarm != nil && !job.pump.isBusy }
    if isPaused { try job.pause() }
    try job.cancel(force: true)
    let end = await stage.end(of: job)
    #expect(end.isCancelled)
    #expect(end.error == "Operation canceled")
    let paused = isPaused ? ["paused", "running"] : []
    #expect(
      stage.log == ["created", "running"] + paused + [
        "aborting", "CANCELLED", "concluded", "null",
      ])
  }

  @Test("a cancel is answered while the disk is stuck, and ends the job when it comes back")
  func stuckDisk() async throws {
    let disk = HeldStorage(MemoryStorage())
    let base = try stage.qcow2("base", size: 8 << 20, on: disk)
    let top = try stage.qcow2("top", size: 8 << 20, over: base)
    try stage.write([UInt8](repeating: 1, count: 8 << 20), to: top, at: 0)
    let before = try stage.view(top)
    disk.hold()
    let job = try stage.commit(top, into: base)
    await until { disk.waitingCalls > 0 }
    try job.cancel(force: true)
    #expect(job.snapshot.isBusy)
    #expect(stage.log == ["created", "running"])
    disk.release()
    #expect(await stage.end(of: job).isCancelled)
    #expect(stage.log.suffix(4) == ["aborting", "CANCELLED", "concluded", "null"])
    #expect(try stage.view(top) == before)
  }

  @Test("work that others put back while a step found nothing is not forgotten")
  func width() async throws {
    let flaky = BlockError(.io, "Input/output error")
    let work = CountedWork(pieces: 500, width: 4) { $0 % 7 == 3 ? flaky : nil }
    let job = try stage.start(
      ScriptedBody { job throws(BlockError) in try await job.run(work) }
    ) { $0.onError = .ignore }
    while !job.machine.isConcluded {
      if let alarm = clock.nextAlarm { clock.advance(by: alarm) }
      await Task.yield()
    }
    #expect(work.done.sorted() == Array(0..<500))
  }

  @Test("a ready job pauses to standby, and completes after the resume")
  func standby() async throws {
    let body = ScriptedBody(canComplete: true) { job throws(BlockError) in
      job.becomeReady()
      #expect(try await job.waitForCompletion { false })
    }
    let job = try stage.start(body)
    await stage.wait(for: job) { $0.machine.isReady }
    try job.pause()
    try job.complete()
    #expect(stage.log.last == "standby")
    try job.resume()
    await stage.end(of: job)
    #expect(
      stage.log == [
        "created", "running", "ready", "READY", "standby", "ready", "waiting", "pending",
        "COMPLETED", "concluded", "null",
      ])
  }

  @Test("work past its point of no return runs to its end, whatever is asked")
  func noReturn() async throws {
    let work = NoReturnWork()
    let job = try stage.start(ScriptedBody { job throws(BlockError) in try await job.run(work) })
    await until { job.pump.isBusy }
    try job.cancel(force: true)
    work.go()
    let end = await stage.end(of: job)
    #expect(!end.isCancelled)
    #expect(stage.log.suffix(3) == ["COMPLETED", "concluded", "null"])
  }
}
