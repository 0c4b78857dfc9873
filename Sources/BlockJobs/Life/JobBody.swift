package import BlockCore
package import BlockRuntime

/// What a kind of job does. The job around it keeps the state, the events and the users' wishes;
/// the body says what is to be done, one line after the other, and every line that waits is a
/// point at which the job can be paused or cancelled.
///
/// Isolation: control plane.
@ControlPlane
package protocol JobBody: AnyObject {
  /// Its kind.
  var type: JobType { get }
  /// Whose lanes its steps use.
  var device: DeviceKey { get }
  /// The files that it works on, for the journal.
  var files: [String] { get }
  /// Whether it becomes ready and waits to be completed.
  var canComplete: Bool { get }

  /// The work itself, while the job is running or ready. Throws `cancelled` when it was told to
  /// stop.
  func run(_ job: JobContext) async throws(BlockError)
  /// The end of a job that succeeded so far: what cannot be taken back. Neither a pause nor a
  /// cancel reaches it.
  func finalize(_ job: JobContext) async throws(BlockError)
  /// Gives back whatever the job holds. Comes once, last, whatever happened.
  func cleanUp(_ job: JobContext) async
}

extension JobBody {
  package func finalize(_ job: JobContext) async throws(BlockError) {}
  package func cleanUp(_ job: JobContext) async {}
}

/// What a body can ask of its job.
///
/// Isolation: control plane.
@ControlPlane
package struct JobContext {
  private let job: Job

  init(_ job: Job) { self.job = job }

  /// How far the job is; steps count on it.
  package var progress: JobProgress { job.progress }
  /// Whether a ready job was told to end without changing the graph.
  package var isSoftlyCancelled: Bool { job.machine.cancellation == .soft }
  /// Whether the daemon wants to end: what may be left undone is left.
  package var isShuttingDown: Bool { job.isShuttingDown }

  /// Notes that the job is about to begin `phase`. Returns when the journal has it.
  package func enter(_ phase: JobPhase) async throws(BlockError) {
    let (journal, record) = (job.journal, job.record)
    _ = try await perform(.write) { () throws(BlockError) in
      try journal.enter(phase, of: record)
    }
    job.phase = phase
  }

  /// Does `work` to its end, on lanes.
  package func run(_ work: any SteppedWork) async throws(BlockError) {
    try await job.pump.run(work)
  }

  /// Makes one bounded blocking call on a lane. `on-error` may have it made again, so a call that
  /// failed must be one that can be.
  package func perform<T: Sendable>(
    _ operation: IOErrorOperation, _ body: @escaping @Sendable () throws(BlockError) -> T
  ) async throws(BlockError) -> T {
    let step = SingleStep(operation, body)
    try await job.pump.run(step)
    guard let value = step.value else { preconditionFailure("a step that ended has a value") }
    return value
  }

  /// Makes one bounded blocking call on a lane whatever users want: for cleaning up.
  package func performAlways<T: Sendable>(
    _ body: @escaping @Sendable () throws(BlockError) -> T
  ) async -> Result<T, BlockError> {
    await job.lanes.perform(on: job.body.device, body)
  }

  /// Everything has been copied and is durable.
  package func becomeReady() { job.becomeReady() }

  /// Waits while ready: until it is told to end (true) or there is more to do (false).
  package func waitForCompletion(
    or hasMore: @escaping @ControlPlane () -> Bool
  ) async throws(BlockError) -> Bool {
    try await job.pump.wait { job.wantsToEnd || hasMore() }
    return job.wantsToEnd
  }

  /// Changes what the job has to say when it is over.
  package func setResult(_ change: (inout JobResult) -> Void) { change(&job.result) }
}
