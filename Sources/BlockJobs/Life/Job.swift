package import BlockCore
package import BlockRuntime

/// One job: its state, its body at work, and what its users ask of it.
///
/// Isolation: control plane.
@ControlPlane
package final class Job {
  /// What a job needs from around it.
  struct Surroundings {
    var clock: any JobClock
    var lanes: LanePool
    var journal: any JobJournal
    var events: JobEventSink
    /// Closes nodes, by name, that belong to the job.
    var closeNodes: @ControlPlane ([String]) async -> Void
    /// The job is gone: it may be forgotten.
    var dismissed: @ControlPlane (Job) -> Void
  }

  package let options: JobOptions
  package let body: any JobBody
  let progress = JobProgress()
  let record: JobRecord

  private(set) var machine: JobStateMachine
  private(set) var failure: BlockError?
  private(set) var ioStatus = IOStatus.ok
  private(set) var isShuttingDown = false
  var phase: JobPhase?
  var result = JobResult()

  private let surroundings: Surroundings
  private var meter = ProgressMeter()
  private var startedAt: UInt64 = 0
  private var pendingEnd: CheckedContinuation<Bool, Never>?
  /// The jobs without which it does not end; until it concludes.
  private var group: JobGroup?
  /// Whether only the end of another job of its group told it to stop.
  private var isStoppedByGroup = false
  private var waiters: [Waiter] = []
  private var lastWaiter = 0

  private struct Waiter {
    let id: Int
    let condition: @ControlPlane (Job) -> Bool
    let callback: @ControlPlane (JobSnapshot) -> Void
  }

  /// Gives the body's steps to lanes.
  private(set) lazy var pump = StepPump(
    clock: surroundings.clock, lanes: lanes, device: body.device,
    owner: StepPump.Owner(
      decide: { [unowned self] in decide() },
      wantsBoundary: { [unowned self] in machine.wantsBoundary },
      react: { [unowned self] in react(to: $0) },
      moved: { [unowned self] in meter.count($0, at: clock.nanoseconds) }))

  init(_ body: any JobBody, _ options: JobOptions, _ surroundings: Surroundings) {
    self.body = body
    self.options = options
    self.surroundings = surroundings
    record = JobRecord(id: options.id, type: body.type, files: body.files)
    machine = JobStateMachine(
      id: options.id, device: options.id, canComplete: body.canComplete)
  }

  package var id: String { options.id }
  package var type: JobType { body.type }
  var clock: any JobClock { surroundings.clock }
  var lanes: LanePool { surroundings.lanes }
  var journal: any JobJournal { surroundings.journal }

  // MARK: Life

  /// Starts the work. Its steps run on lanes from here on; the caller's turn is not interrupted.
  func start() {
    emit(machine.create())
    emit(machine.start())
    startedAt = clock.nanoseconds
    meter.start(at: startedAt)
    pump.speed = options.speed
    Task { await self.live() }
  }

  private func live() async {
    let context = JobContext(self)
    do throws(BlockError) {
      try await body.run(context)
      if let group { try await agree(with: group) } else { try await awaitFinalize() }
      try await body.finalize(context)
    } catch {
      // Whatever a job that its user told to stop ran into, it was told to stop. One that its group
      // stops may have failed by itself, and has said so in its events.
      failure = machine.cancellation == .forced && !isStoppedByGroup ? .cancelledJob : error
      if !machine.isFinalizing { group?.abort(by: self) }
      emit(machine.fail())
    }
    await body.cleanUp(context)
    let closing = group?.finish(self) ?? options.ownNodes
    group = nil
    await surroundings.closeNodes(closing)
    await conclude()
  }

  /// Waits for `finalize` unless the end comes by itself. A cancel that comes instead is thrown.
  private func awaitFinalize() async throws(BlockError) {
    emit(machine.succeed())
    changed()
    if options.autoFinalize {
      try machine.finalize()
      return
    }
    if type.isBlockJob { surroundings.events(.pending(type: type, id: id)) }
    let goesOn = await withCheckedContinuation { pendingEnd = $0 }
    if !goesOn { throw .cancelledJob }
  }

  /// At the end of its work: waits for the others of `group`, and for its turn. Throws where one of
  /// them was cancelled or has failed.
  private func agree(with group: JobGroup) async throws(BlockError) {
    guard !group.isAborted else { throw .cancelledJob }
    emit(machine.awaitOthers())
    changed()
    let goesOn = await withCheckedContinuation { continuation in
      pendingEnd = continuation
      group.arrive(self)
    }
    guard goesOn else { throw .cancelledJob }
    await group.turn(of: self)
  }

  /// From now on it ends with the others of `group`. Before it starts.
  func join(_ group: JobGroup) { self.group = group }

  /// The others of its group have come to their ends, too.
  func becomePending() {
    emit(machine.becomePending())
    if type.isBlockJob && !options.autoFinalize {
      surroundings.events(.pending(type: type, id: id))
    }
    changed()
  }

  /// Its group goes on to the last steps.
  func endWithGroup() { try? beginEnd() }

  /// Another job of its group was cancelled or has failed.
  func stopWithGroup() {
    if machine.cancellation != .forced { isStoppedByGroup = true }
    try? cancelAlone(force: true)
  }

  /// Gives back what its body holds: it does not start.
  func abandon() async { await body.cleanUp(JobContext(self)) }

  private func conclude() async {
    result.durationNanoseconds = clock.nanoseconds - startedAt
    let end: JobEnd =
      isCancelled ? .cancelled : failure.map { .failed($0.message) } ?? .succeeded
    let (journal, record) = (journal, record)
    _ = await lanes.perform(on: body.device) { () throws(BlockError) in
      try journal.conclude(record, end)
    }
    if type.isBlockJob {
      surroundings.events(
        isCancelled ? .cancelled(facts) : .completed(facts, error: failure?.message))
    }
    emit(machine.conclude())
    changed()
    if options.autoDismiss { try? dismiss() }
  }

  // MARK: What the body reports

  func becomeReady() {
    guard !machine.isReady else { return }
    // It may stay ready for long; the rate is that of the copy.
    meter.stop(at: clock.nanoseconds)
    emit(machine.becomeReady())
    if type.isBlockJob { surroundings.events(.ready(facts)) }
    if options.autoComplete { try? machine.complete() }
    changed()
  }

  /// Whether a ready job was told to end, with or without changing the graph.
  var wantsToEnd: Bool { machine.isCompletionRequested || machine.cancellation == .soft }

  private func decide() -> JobStateMachine.Decision {
    let (decision, changes) = machine.boundary()
    let now = clock.nanoseconds
    if changes.contains(where: { $0 == .paused || $0 == .standby }) { meter.stop(at: now) }
    if changes.contains(.running) { meter.start(at: now) }
    emit(changes)
    return decision
  }

  private func react(to error: StepError) -> ErrorAction {
    // Past the point at which users decide: no pause is possible any more.
    guard machine.status != .pending, let action = options.onError.action(for: error.cause)
    else { return .report }
    // Several steps may fail of one cause; the first one has stopped the job.
    if machine.isUserPaused && ioStatus != .ok { return .stop }
    if type.isBlockJob {
      surroundings.events(.error(device: id, operation: error.operation, action: action))
    }
    if action == .stop {
      machine.pauseForError()
      ioStatus = IOStatus(error.cause)
    }
    return action
  }

  // MARK: What users ask

  package func pause() throws(BlockError) {
    try machine.pause()
    pump.advance()
  }

  /// Also clears the error that a job stopped on.
  package func resume() throws(BlockError) {
    try machine.resume()
    ioStatus = .ok
    pump.advance()
  }

  /// `force` is what `job-cancel` always does. In a group it is what every cancel does, and it ends
  /// all jobs of it.
  package func cancel(force: Bool) throws(BlockError) {
    try cancelAlone(force: force || group != nil)
    // Whoever stopped it before, now its user has.
    isStoppedByGroup = false
    group?.abort(by: self)
  }

  private func cancelAlone(force: Bool) throws(BlockError) {
    emit(try machine.cancel(force: force))
    if machine.status == .aborting {
      pendingEnd.take()?.resume(returning: false)
    } else {
      pump.advance()
    }
  }

  package func complete() throws(BlockError) {
    try machine.complete()
    pump.advance()
  }

  /// In a group it counts for all jobs of it.
  package func finalize() throws(BlockError) {
    if let group {
      try machine.check(.finalize)
      guard !machine.isFinalizing else { return try machine.finalize() }
      group.goOn()
    } else {
      try beginEnd()
    }
  }

  /// Returns once the job has its last steps behind it, and those of its group have, if it is on
  /// the way there.
  package func settled() async {
    for job in group?.members ?? [self] where job.machine.isEnding {
      await withCheckedContinuation { continuation in
        _ = job.when({ $0.machine.isConcluded }) { _ in continuation.resume() }
      }
    }
  }

  private func beginEnd() throws(BlockError) {
    try machine.finalize()
    pendingEnd.take()?.resume(returning: true)
  }

  package func dismiss() throws(BlockError) {
    emit(try machine.dismiss())
    surroundings.dismissed(self)
  }

  /// Bytes per second; 0 is no limit. Counts at once.
  package func setSpeed(_ speed: Int) throws(BlockError) {
    try machine.check(.setSpeed)
    guard speed >= 0 else { throw Job.negativeSpeed }
    pump.speed = speed
  }

  static var negativeSpeed: BlockError {
    BlockError(.invalidArgument, "Parameter 'speed' expects a non-negative value")
  }

  /// Ends the job as soon as its files are in a state that may be left.
  func shutDown() {
    isShuttingDown = true
    // Too late to cancel: then it ends by itself, and soon.
    try? cancel(force: true)
  }

  // MARK: What can be asked about it

  /// Calls `callback` once `condition` holds; at once, and with nil as answer, if it does already.
  /// The answer is for `stopWaiting`.
  func when(
    _ condition: @escaping @ControlPlane (Job) -> Bool,
    _ callback: @escaping @ControlPlane (JobSnapshot) -> Void
  ) -> Int? {
    guard !condition(self) else {
      callback(snapshot)
      return nil
    }
    lastWaiter += 1
    waiters.append(Waiter(id: lastWaiter, condition: condition, callback: callback))
    return lastWaiter
  }

  /// Forgets a callback that `when` has not made yet. Returns whether there was one.
  func stopWaiting(_ id: Int) -> Bool {
    guard let index = waiters.firstIndex(where: { $0.id == id }) else { return false }
    waiters.remove(at: index)
    return true
  }

  /// Whether it waits for `finalize`.
  var isLeftPending: Bool {
    machine.status == .pending && !machine.isFinalizing
      && (group?.needsFinalize ?? !options.autoFinalize)
  }

  /// Whether it was stopped by force. A forced cancel that comes too late does not count.
  var isCancelled: Bool { machine.cancellation == .forced && failure?.code == .cancelled }

  package var snapshot: JobSnapshot {
    let now = clock.nanoseconds
    let (done, total) = (progress.done, progress.total)
    return JobSnapshot(
      id: id, type: type, status: machine.status, currentProgress: done, totalProgress: total,
      error: failure?.message, failure: failure, ioStatus: ioStatus,
      speed: pump.speed, isBusy: pump.isBusy, isPaused: machine.isUserPaused,
      isReady: machine.isReady, autoFinalize: options.autoFinalize,
      autoDismiss: options.autoDismiss, isCancelled: isCancelled,
      isSoftlyCancelled: machine.cancellation == .soft,
      bytesPerSecond: meter.bytesPerSecond(at: now, limit: pump.speed),
      etaSeconds: meter.secondsLeft(for: total - done, at: now, limit: pump.speed),
      elapsedNanoseconds: machine.isConcluded ? result.durationNanoseconds : now - startedAt,
      phase: phase, result: result)
  }

  private var facts: BlockJobFacts {
    BlockJobFacts(
      type: type, device: id, length: progress.total, offset: progress.done, speed: pump.speed)
  }

  private func emit(_ changes: [JobStatus]) {
    for status in changes { surroundings.events(.statusChanged(id: id, status: status)) }
  }

  /// Tells whoever waited for the state that the job is in now.
  private func changed() {
    let served = waiters.filter { $0.condition(self) }
    waiters.removeAll { waiter in served.contains { $0.id == waiter.id } }
    for waiter in served { waiter.callback(snapshot) }
  }
}
