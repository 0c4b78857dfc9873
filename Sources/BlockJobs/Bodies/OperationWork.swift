import BlockCore
import ImageFormats
import Synchronization

/// An operation of an image as the work of a job.
///
/// Isolation: any thread; one step at a time.
final class OperationWork: SteppedWork {
  private let operation: any ImageOperation
  private let progress: JobProgress
  private let counted: Mutex<Int>

  /// Counts the operation's own units on `progress`.
  init(_ operation: any ImageOperation, progress: JobProgress) {
    self.operation = operation
    self.progress = progress
    let now = operation.progress
    counted = Mutex(now.done)
    progress.expect(now.total - now.done)
  }

  var width: Int { 1 }
  var isThrottled: Bool { false }
  var isPastNoReturn: Bool { operation.isPastNoReturn }

  func step(_ lease: StepLease) throws(StepError) -> StepResult {
    var isDone = false
    while !isDone {
      isDone = try StepError.during(.write) { () throws(BlockError) in try operation.step() }
      let done = operation.progress.done
      counted.withLock { counted in
        progress.advance(by: done - counted)
        counted = done
      }
      if lease.isOver(after: 0) { break }
    }
    return StepResult(bytes: 0, isExhausted: isDone)
  }
}
