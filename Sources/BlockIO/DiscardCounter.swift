import BlockCore
import Synchronization

/// What has been given back of a file's space since it was opened.
///
/// Isolation: any thread; each number is an atomic of its own, and they are read one by one.
package final class DiscardCounter: Sendable {
  private let done = Atomic<Int>(0)
  private let failed = Atomic<Int>(0)
  private let bytes = Atomic<Int>(0)

  /// The numbers at one moment.
  package struct Snapshot: Hashable, Sendable {
    /// Discards that succeeded.
    package var done = 0
    /// Discards that failed.
    package var failed = 0
    /// What those that succeeded covered, in bytes.
    package var bytes = 0
  }

  /// The present numbers.
  package var snapshot: Snapshot {
    Snapshot(
      done: done.load(ordering: .relaxed), failed: failed.load(ordering: .relaxed),
      bytes: bytes.load(ordering: .relaxed))
  }

  /// Calls `discard`, which gives back `count` bytes, and counts it.
  func count(_ count: Int, _ discard: () throws(BlockError) -> Void) throws(BlockError) {
    do throws(BlockError) {
      try discard()
    } catch {
      failed.add(1, ordering: .relaxed)
      throw error
    }
    done.add(1, ordering: .relaxed)
    bytes.add(count, ordering: .relaxed)
  }
}
