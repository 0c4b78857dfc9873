import BlockCore
import TestSupport
import Testing

@testable import BlockJobs

@Suite("The life of a job")
struct JobStateMachineTests {
  private static func machine(
    canComplete: Bool = true, at status: JobStatus = .running
  ) -> JobStateMachine {
    var machine = JobStateMachine(id: "j0", device: "j0", canComplete: canComplete)
    _ = machine.create()
    _ = machine.start()
    if status == .ready || status == .standby { _ = machine.becomeReady() }
    if status == .paused || status == .standby {
      try? machine.pause()
      _ = machine.boundary()
    }
    if status == .pending { _ = machine.succeed() }
    precondition(machine.status == status)
    return machine
  }

  private static func sentence(_ body: () throws(BlockError) -> Void) -> String? {
    do throws(BlockError) { try body() } catch { return error.message }
    return nil
  }

  @Test("a job that runs through passes waiting and pending")
  func success() throws {
    var machine = JobStateMachine(id: "j0", device: "j0", canComplete: false)
    #expect(machine.create() == [.created])
    #expect(machine.start() == [.running])
    #expect(machine.boundary().1 == [])
    #expect(machine.succeed() == [.waiting, .pending])
    try machine.finalize()
    #expect(machine.conclude() == [.concluded])
    #expect(try machine.dismiss() == [.null])
  }

  @Test("a pause takes effect at the next boundary, a resume likewise")
  func pauseAndResume() throws {
    var machine = Self.machine()
    try machine.pause()
    #expect(machine.status == .running)
    #expect(machine.wantsBoundary)
    #expect(machine.boundary() == (.hold, [.paused]))
    #expect(machine.boundary() == (.hold, []))
    try machine.resume()
    #expect(machine.boundary() == (.proceed, [.running]))
  }

  @Test("a pause that is taken back before the boundary changes nothing")
  func pauseTakenBack() throws {
    var machine = Self.machine()
    try machine.pause()
    try machine.resume()
    #expect(machine.boundary() == (.proceed, []))
  }

  @Test("a ready job pauses to standby and comes back to ready")
  func standby() throws {
    var machine = Self.machine(at: .ready)
    try machine.pause()
    #expect(machine.boundary() == (.hold, [.standby]))
    #expect(machine.isReady)
    try machine.complete()
    #expect(machine.boundary() == (.hold, []), "complete in standby waits for the resume")
    try machine.resume()
    #expect(machine.boundary() == (.proceed, [.ready]))
    #expect(machine.isCompletionRequested)
    #expect(machine.succeed() == [.waiting, .pending])
  }

  @Test("a forced cancel goes by way of running, also from paused")
  func cancelPaused() throws {
    var machine = Self.machine(at: .paused)
    #expect(try machine.cancel(force: true) == [])
    #expect(machine.boundary() == (.stop, [.running]))
    #expect(machine.fail() == [.aborting])
    #expect(machine.conclude() == [.concluded])
  }

  @Test("a forced cancel of a standby job goes by way of ready")
  func cancelStandby() throws {
    var machine = Self.machine(at: .standby)
    _ = try machine.cancel(force: true)
    #expect(machine.boundary() == (.stop, [.ready]))
    #expect(machine.fail() == [.aborting])
  }

  @Test("a cancel without force of a ready job ends it like a success")
  func softCancel() throws {
    var machine = Self.machine(at: .ready)
    #expect(try machine.cancel(force: false) == [])
    #expect(machine.cancellation == .soft)
    #expect(machine.boundary() == (.proceed, []))
    let refused = Self.sentence { () throws(BlockError) in try machine.complete() }
    #expect(refused == "The active block job 'j0' cannot be completed")
    #expect(machine.succeed() == [.waiting, .pending])
  }

  @Test("a soft cancel may be followed by a forced one, and not the other way round")
  func softThenForced() throws {
    var machine = Self.machine(at: .ready)
    _ = try machine.cancel(force: false)
    _ = try machine.cancel(force: true)
    #expect(machine.boundary() == (.stop, []))
    _ = try machine.cancel(force: false)
    #expect(machine.cancellation == .forced)
  }

  @Test("before ready, a cancel without force is a forced one")
  func softBeforeReady() throws {
    var machine = Self.machine()
    _ = try machine.cancel(force: false)
    #expect(machine.cancellation == .forced)
  }

  @Test("a pending job is cancelled at once, either way", arguments: [true, false])
  func cancelPending(force: Bool) throws {
    var machine = Self.machine(at: .pending)
    #expect(try machine.cancel(force: force) == [.aborting])
    #expect(machine.fail() == [])
    #expect(machine.conclude() == [.concluded])
  }

  @Test("once the end has begun, it is too late to cancel or to finalize again")
  func tooLate() throws {
    var machine = Self.machine(at: .pending)
    try machine.finalize()
    let cancel = Self.sentence { () throws(BlockError) in _ = try machine.cancel(force: true) }
    #expect(cancel == "Job 'j0' in state 'pending' cannot accept command verb 'cancel'")
    let finalize = Self.sentence { () throws(BlockError) in try machine.finalize() }
    #expect(finalize == "Job 'j0' in state 'pending' cannot accept command verb 'finalize'")
    #expect(machine.boundary() == (.proceed, []))
    #expect(machine.fail() == [.aborting], "the switch itself can fail")
  }

  @Test("a cancel or a pause that comes during the last step no longer counts")
  func lateWishes() throws {
    var machine = Self.machine()
    try machine.pause()
    _ = try machine.cancel(force: true)
    _ = machine.succeed()
    try machine.finalize()
    #expect(!machine.wantsBoundary)
    #expect(machine.boundary() == (.proceed, []))
  }

  @Test("an error that stops a job is a pause that its user can take back")
  func stoppedByError() throws {
    var machine = Self.machine()
    machine.pauseForError()
    #expect(machine.boundary() == (.hold, [.paused]))
    try machine.resume()
    #expect(machine.boundary() == (.proceed, [.running]))
  }

  @Test("refusals are QEMU's sentences")
  func sentences() throws {
    var pending = Self.machine(at: .pending)
    #expect(
      Self.sentence { () throws(BlockError) in try pending.pause() }
        == "Job 'j0' in state 'pending' cannot accept command verb 'pause'")
    var paused = Self.machine(at: .paused)
    #expect(
      Self.sentence { () throws(BlockError) in try paused.pause() } == "Job is already paused")
    #expect(
      Self.sentence { () throws(BlockError) in _ = try paused.cancel(force: false) }
        == "The block job for device 'j0' is currently paused")
    var running = Self.machine()
    #expect(
      Self.sentence { () throws(BlockError) in try running.resume() }
        == "Can't resume a job that was not paused")
    #expect(
      Self.sentence { () throws(BlockError) in try running.complete() }
        == "Job 'j0' in state 'running' cannot accept command verb 'complete'")
    #expect(
      Self.sentence { () throws(BlockError) in _ = try running.dismiss() }
        == "Job 'j0' in state 'running' cannot accept command verb 'dismiss'")
    #expect(
      Self.sentence { () throws(BlockError) in try running.check(.setSpeed) } == nil)
    #expect(
      Self.sentence { () throws(BlockError) in try pending.check(.setSpeed) }
        == "Job 'j0' in state 'pending' cannot accept command verb 'set-speed'")
  }

  @Test("a random life never leaves the table", arguments: 0..<200)
  func randomLives(seed: Int) {
    var generator = SeededGenerator(seed: UInt64(seed))
    var machine = JobStateMachine(id: "j", device: "j", canComplete: true)
    var seen: [JobStatus] = [.undefined] + machine.create() + machine.start()
    for _ in 0..<60 where !machine.isConcluded {
      switch UInt.random(in: 0..<10, using: &generator) {
      case 0: try? machine.pause()
      case 1: try? machine.resume()
      case 2: seen += (try? machine.cancel(force: true)) ?? []
      case 3: seen += (try? machine.cancel(force: false)) ?? []
      case 4: try? machine.complete()
      case 5 where machine.status == .running: seen += machine.becomeReady()
      case 6 where machine.status == .pending: try? machine.finalize()
      case 7 where [.running, .ready].contains(machine.status): seen += machine.succeed()
      case 8 where machine.isFinalizing || machine.status == .aborting: seen += machine.conclude()
      default:
        let (decision, changes) = machine.boundary()
        seen += changes
        if decision == .stop { seen += machine.fail() }
      }
    }
    for (from, to) in zip(seen, seen.dropFirst()) {
      #expect(from.successors.contains(to), "\(from) to \(to)")
    }
    #expect(seen.last == machine.status)
  }

  @Test("ids follow QEMU's rule")
  func ids() {
    for good in ["j", "J0", "a.b-c_d", "commit"] {
      #expect(Self.sentence { () throws(BlockError) in try JobID.check(good) } == nil)
    }
    for bad in ["", "1bad id", "#x", "-a", "ä", "a b", "a\u{0}"] {
      #expect(
        Self.sentence { () throws(BlockError) in try JobID.check(bad) }
          == "Invalid job ID '\(bad)'")
    }
    #expect(JobID.inUse("j").message == "Job ID 'j' already in use")
  }
}
