package import BlockCore
import Dispatch

/// A serial queue with a thread of its own while it has work: where blocking calls belong.
///
/// Jobs and exports use the lanes of `LanePool`. A lane made by hand is for the one who must not
/// stand in line behind others: a graph edit's I/O between drain and resume, when requests that
/// wait at the gate may hold every lane of the device.
///
/// Isolation: any thread.
package final class Lane: Sendable {
  private let queue: DispatchQueue

  /// A lane named `label` in debuggers and stack dumps.
  package init(label: String) {
    queue = DispatchQueue(label: label)
  }

  /// Runs `work` after everything given to this lane before, and returns at once. `work` may block.
  package func run(_ work: @escaping @Sendable () -> Void) {
    queue.async(execute: work)
  }

  /// Runs `work` on this lane while the caller is suspended: one hop down, one up.
  package func perform<T: Sendable>(
    _ work: @escaping @Sendable () throws(BlockError) -> T
  ) async -> Result<T, BlockError> {
    await withCheckedContinuation { continuation in
      run { continuation.resume(returning: Result(catching: work)) }
    }
  }
}
