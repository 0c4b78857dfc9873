package import BlockCore

extension LanePool {
  /// As `perform`, for as long as `patience`, and no longer than until some step of `key` has run
  /// for `stillness`: then nil is the answer, and `late` is called when the work has ended all the
  /// same.
  @ControlPlane
  package func perform<T: Sendable>(
    on key: DeviceKey, within patience: Duration, stillness: Duration,
    _ work: @escaping @Sendable () throws(BlockError) -> T,
    late: @escaping @ControlPlane (Result<T, BlockError>) -> Void
  ) async -> Result<T, BlockError>? {
    await withCheckedContinuation { continuation in
      let answer = Answer(continuation, late)
      let deadline = ContinuousClock.now + patience
      answer.wait(for: stillness) {
        self.isHeldUp(key, longerThan: stillness) || ContinuousClock.now >= deadline
      }
      run(on: key) {
        let result = Result(catching: work)
        ControlPlane.post { answer.take(result) }
      }
    }
  }

  /// Who waits for the end of a piece of work, or does not any more.
  ///
  /// Isolation: control plane.
  @ControlPlane
  private final class Answer<T: Sendable> {
    private var timer: ControlTimer?
    private var waiting: CheckedContinuation<Result<T, BlockError>?, Never>?
    private let late: @ControlPlane (Result<T, BlockError>) -> Void

    init(
      _ waiting: CheckedContinuation<Result<T, BlockError>?, Never>,
      _ late: @escaping @ControlPlane (Result<T, BlockError>) -> Void
    ) {
      self.waiting = waiting
      self.late = late
    }

    func take(_ result: Result<T, BlockError>) {
      timer = nil
      guard let waiting = waiting.take() else { return late(result) }
      waiting.resume(returning: result)
    }

    /// Looks every `interval` whether to give up.
    func wait(for interval: Duration, unless isHopeless: @escaping @ControlPlane () -> Bool) {
      timer = ControlTimer(after: interval) {
        if isHopeless() {
          self.waiting.take()?.resume(returning: nil)
        } else {
          self.wait(for: interval, unless: isHopeless)
        }
      }
    }
  }
}
