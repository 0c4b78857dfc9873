import BlockCore
import Synchronization

@testable import BlockJobs

/// Work of so many pieces; each step does one, and fails where its test says so.
final class CountedWork: SteppedWork {
  let width: Int
  let isThrottled = true
  private let failing: @Sendable (Int) -> BlockError?
  private let bytes: Int
  private let state: Mutex<State>

  private struct State {
    var left: [Int]
    var done: [Int] = []
    var steps = 0
  }

  /// `failing` gets the number of the step, from 0, and says whether it fails.
  init(
    pieces: Int, bytes: Int = 1000, width: Int = 1,
    failing: @escaping @Sendable (Int) -> BlockError? = { _ in nil }
  ) {
    self.width = width
    self.bytes = bytes
    self.failing = failing
    state = Mutex(State(left: Array((0..<pieces).reversed())))
  }

  /// The pieces done, in the order in which they were done.
  var done: [Int] { state.withLock { $0.done } }
  /// How many steps there were.
  var steps: Int { state.withLock { $0.steps } }

  func step(_ lease: StepLease) throws(StepError) -> StepResult {
    try state.withLock { (state) throws(StepError) in
      defer { state.steps += 1 }
      guard let piece = state.left.last else { return StepResult(bytes: 0, isExhausted: true) }
      if let error = failing(state.steps) { throw StepError(.write, error) }
      state.left.removeLast()
      state.done.append(piece)
      return StepResult(bytes: bytes, isExhausted: false)
    }
  }
}
