package import BlockCore

extension LanePool {
  /// As `perform`, for as long as `patience`: then nil is the answer, and `late` is called when the
  /// work has ended all the same.
  @ControlPlane
  package func perform<T: Sendable>(
    on key: DeviceKey, within patience: Duration,
    _ work: @escaping @Sendable () throws(BlockError) -> T,
    late: @escaping @ControlPlane (Result<T, BlockError>) -> Void
  ) async -> Result<T, BlockError>? {
    await withCheckedContinuation { continuation in
      let answer = Answer(continuation, late)
      answer.timer = ControlTimer(after: patience) { answer.giveUp() }
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
    var timer: ControlTimer?
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

    func giveUp() { waiting.take()?.resume(returning: nil) }
  }
}
