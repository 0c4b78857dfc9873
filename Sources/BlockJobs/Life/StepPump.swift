import BlockCore
import BlockRuntime

/// Gives the steps of one job to lanes, and decides between them: go on, wait, try again, stop.
///
/// It holds no thread: while a job is paused, throttled or waits to try again, nothing runs and one
/// alarm at most is set.
///
/// Isolation: control plane.
@ControlPlane
final class StepPump {
  /// What the pump asks of its job.
  struct Owner {
    /// Between two steps, with none at work: what to do.
    var decide: @ControlPlane () -> JobStateMachine.Decision
    /// Whether no new step may begin, because a pause or a cancel was asked for.
    var wantsBoundary: @ControlPlane () -> Bool
    /// What to do about a failed step; nil where the job is past the point at which users decide.
    var react: @ControlPlane (StepError) -> ErrorAction
    /// A step moved so many bytes.
    var moved: @ControlPlane (Int) -> Void
  }

  /// How the pump waits for something that no step brings about: it looks again this often.
  private static let pollNanoseconds: UInt64 = 50_000_000

  private enum Activity {
    case none
    case work(any SteppedWork)
    case idle(until: @ControlPlane () -> Bool)
  }

  private let clock: any JobClock
  private let lanes: LanePool
  private let device: DeviceKey
  private let owner: Owner
  private let stop = StopFlag()

  private var limiter = RateLimiter()
  private var backoff = RetryBackoff()
  private var retryAt: UInt64 = 0
  private var activity = Activity.none
  private var isExhausted = false
  /// Counts the steps that ended with work left, or put work back.
  private var leftovers = 0
  private var failure: BlockError?
  /// How many steps were begun and have not ended.
  private(set) var stepsAtWork = 0
  private var alarm: (any JobAlarm)?
  private var continuation: CheckedContinuation<Result<Void, BlockError>, Never>?

  init(clock: any JobClock, lanes: LanePool, device: DeviceKey, owner: Owner) {
    self.clock = clock
    self.lanes = lanes
    self.device = device
    self.owner = owner
  }

  /// Whether steps are at work.
  var isBusy: Bool { stepsAtWork > 0 }

  /// Bytes per second, 0 for no limit; counts at once.
  var speed: Int {
    get { limiter.speed }
    set {
      limiter.speed = newValue
      advance()
    }
  }

  /// Does `work` to its end. Throws what its owner let a step fail with, or `cancelled`.
  func run(_ work: any SteppedWork) async throws(BlockError) {
    isExhausted = false
    try await begin(.work(work))
  }

  /// Waits until `condition` holds; looks at it after every verb and now and then. Throws
  /// `cancelled`.
  func wait(until condition: @escaping @ControlPlane () -> Bool) async throws(BlockError) {
    try await begin(.idle(until: condition))
  }

  /// Looks at what may be done next: after each step, each verb and each alarm.
  func advance() {
    let isInterrupted = owner.wantsBoundary() && !isPastNoReturn
    stop.set(isInterrupted)
    guard continuation != nil else { return }
    alarm?.cancel()
    alarm = nil
    if stepsAtWork == 0 {
      if let failure { return finish(.failure(failure)) }
      if !isPastNoReturn {
        switch owner.decide() {
        case .stop: return finish(.failure(.cancelledJob))
        case .hold: return
        case .proceed: break
        }
      }
    }
    guard !isInterrupted, failure == nil else { return }
    switch activity {
    case .none: preconditionFailure("a pump waits for something")
    case .work(let work): issue(work)
    case .idle(let condition):
      if condition() { finish(.success(())) } else { wake(after: StepPump.pollNanoseconds) }
    }
  }

  /// Whether the work at hand must run to its end.
  private var isPastNoReturn: Bool {
    guard case .work(let work) = activity else { return false }
    return work.isPastNoReturn
  }

  private func begin(_ next: Activity) async throws(BlockError) {
    precondition(continuation == nil, "a job does one thing at a time")
    activity = next
    failure = nil
    let result = await withCheckedContinuation { continuation in
      self.continuation = continuation
      advance()
    }
    try result.get()
  }

  private func finish(_ result: Result<Void, BlockError>) {
    activity = .none
    let waiting = continuation.take()
    waiting?.resume(returning: result)
  }

  /// Begins as many steps as may run now.
  private func issue(_ work: any SteppedWork) {
    while !isExhausted, stepsAtWork < work.width {
      let now = clock.nanoseconds
      let pause = max(
        work.isThrottled ? limiter.delay(at: now) : 0, retryAt > now ? retryAt - now : 0)
      guard pause == 0 else { return wake(after: pause) }
      // What is moved without a limit does not count against one that is set meanwhile.
      let share = limiter.speed == 0 ? nil : min(Limits.copyWindowBytes, limiter.quota)
      let budget = share ?? Limits.stepBytes
      if let share { limiter.spend(share, at: now) }
      stepsAtWork += 1
      let (stop, seen) = (stop, leftovers)
      lanes.run(on: device) {
        let result = Result { () throws(StepError) in
          try work.step(StepLease(budget: budget, stop: stop))
        }
        ControlPlane.post { self.ended(result, share: share, seen: seen) }
      }
    }
    if isExhausted && stepsAtWork == 0 { finish(.success(())) }
  }

  /// A step has ended, for which `share` was taken from the speed. `seen` is the count of leftovers
  /// when it began: that it found nothing to do is believed only if no other step put anything back
  /// meanwhile.
  private func ended(_ result: Result<StepResult, StepError>, share: Int?, seen: Int) {
    stepsAtWork -= 1
    switch result {
    case .success(let step):
      if let share { limiter.refund(share - step.bytes) }
      backoff.reset()
      owner.moved(step.bytes)
      if step.isExhausted {
        isExhausted = isExhausted || seen == leftovers
      } else {
        noteLeftover()
      }
    case .failure(let error):
      limiter.refund(share ?? 0)
      noteLeftover()
      if failure == nil { react(to: error) }
    }
    advance()
  }

  private func noteLeftover() {
    leftovers += 1
    isExhausted = false
  }

  private func react(to error: StepError) {
    switch owner.react(error) {
    case .report: failure = error.cause
    case .ignore: retryAt = clock.nanoseconds + backoff.delay()
    case .stop: break
    }
  }

  private func wake(after delay: UInt64) {
    alarm = clock.alarm(after: delay) { [weak self] in self?.advance() }
  }
}
