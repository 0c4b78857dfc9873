import Synchronization

/// What has passed through a node since it was opened.
///
/// Isolation: any thread; each number is an atomic of its own, and they are read one by one.
package final class NodeCounters: Sendable {
  private let readRequests = Atomic<Int>(0)
  private let bytesRead = Atomic<Int>(0)
  private let writeRequests = Atomic<Int>(0)
  private let bytesWritten = Atomic<Int>(0)
  private let bytesZeroed = Atomic<Int>(0)
  private let flushes = Atomic<Int>(0)

  /// The numbers at one moment.
  package struct Snapshot: Hashable, Sendable {
    package var readRequests = 0
    package var bytesRead = 0
    package var writeRequests = 0
    package var bytesWritten = 0
    package var bytesZeroed = 0
    package var flushes = 0
  }

  /// The present numbers.
  package var snapshot: Snapshot {
    Snapshot(
      readRequests: readRequests.load(ordering: .relaxed),
      bytesRead: bytesRead.load(ordering: .relaxed),
      writeRequests: writeRequests.load(ordering: .relaxed),
      bytesWritten: bytesWritten.load(ordering: .relaxed),
      bytesZeroed: bytesZeroed.load(ordering: .relaxed),
      flushes: flushes.load(ordering: .relaxed))
  }

  func countRead(_ bytes: Int) {
    readRequests.add(1, ordering: .relaxed)
    bytesRead.add(bytes, ordering: .relaxed)
  }

  func countWrite(_ bytes: Int) {
    writeRequests.add(1, ordering: .relaxed)
    bytesWritten.add(bytes, ordering: .relaxed)
  }

  func countZeroed(_ bytes: Int) {
    writeRequests.add(1, ordering: .relaxed)
    bytesZeroed.add(bytes, ordering: .relaxed)
  }

  func countFlush() {
    flushes.add(1, ordering: .relaxed)
  }
}
