import Dispatch
import Synchronization

@testable import BlockJobs

/// Work of two steps of which the first waits for its test, and after which nobody may stop.
final class NoReturnWork: SteppedWork {
  let width = 1
  let isThrottled = false
  private let mayGo = DispatchSemaphore(value: 0)
  private let steps = Atomic<Int>(0)

  var isPastNoReturn: Bool { steps.load(ordering: .acquiring) > 0 }

  func go() { mayGo.signal() }

  func step(_ lease: StepLease) throws(StepError) -> StepResult {
    if steps.load(ordering: .acquiring) == 0 { mayGo.wait() }
    let done = steps.add(1, ordering: .acquiringAndReleasing).newValue
    return StepResult(bytes: 0, isExhausted: done == 2)
  }
}
