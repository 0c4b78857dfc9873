import BlockCore
import Synchronization

/// What has passed through a node since it was opened.
///
/// Isolation: any thread; each number is an atomic of its own, and they are read one by one.
package final class NodeCounters: Sendable {
  let reads = RequestCounter()
  let writes = RequestCounter()
  let zeroes = RequestCounter()
  let flushes = RequestCounter()
  private let highestWrite = Atomic<Int>(0)

  /// The numbers at one moment.
  package struct Snapshot: Hashable, Sendable {
    package var reads = RequestCounter.Snapshot()
    /// Writes of bytes.
    package var writes = RequestCounter.Snapshot()
    /// Writes of zeros that bring no bytes.
    package var zeroes = RequestCounter.Snapshot()
    /// Their bytes are always 0.
    package var flushes = RequestCounter.Snapshot()
    /// Where the highest write ended, in bytes from the disk's beginning.
    package var highestWrite = 0
  }

  /// The present numbers.
  package var snapshot: Snapshot {
    Snapshot(
      reads: reads.snapshot, writes: writes.snapshot, zeroes: zeroes.snapshot,
      flushes: flushes.snapshot, highestWrite: highestWrite.load(ordering: .relaxed))
  }

  /// A write has reached up to `end`.
  func noteWrite(upTo end: Int) { highestWrite.max(end, ordering: .relaxed) }
}

/// Requests of one kind.
///
/// Isolation: any thread; each number is an atomic of its own, and they are read one by one.
package final class RequestCounter: Sendable {
  private let done = Atomic<Int>(0)
  private let bytes = Atomic<Int>(0)
  private let nanoseconds = Atomic<Int>(0)
  private let failed = Atomic<Int>(0)

  /// The numbers at one moment.
  package struct Snapshot: Hashable, Sendable {
    /// Requests that succeeded.
    package var done = 0
    /// What they read or changed.
    package var bytes = 0
    /// What they took together; several may run at once.
    package var nanoseconds = 0
    /// Requests that failed.
    package var failed = 0
  }

  /// The present numbers.
  var snapshot: Snapshot {
    Snapshot(
      done: done.load(ordering: .relaxed), bytes: bytes.load(ordering: .relaxed),
      nanoseconds: nanoseconds.load(ordering: .relaxed), failed: failed.load(ordering: .relaxed))
  }

  /// Calls `request`, which reads or changes `count` bytes, and counts it.
  func count(_ count: Int, _ request: () throws(BlockError) -> Void) throws(BlockError) {
    let begun = SystemClock().nanoseconds
    do throws(BlockError) {
      try request()
    } catch {
      failed.add(1, ordering: .relaxed)
      throw error
    }
    done.add(1, ordering: .relaxed)
    bytes.add(count, ordering: .relaxed)
    nanoseconds.add(Int(SystemClock().nanoseconds - begun), ordering: .relaxed)
  }
}
