import BlockCore
import Synchronization

/// How many changes of a file have ended, and how many of them are durable.
///
/// Isolation: any thread.
final class ChangeCount: Sendable {
  /// The first one is whatever the file has gone through before it was opened here.
  private let ended = Atomic<Int>(1)
  private let durable = Atomic<Int>(0)

  /// Notes the end of a change, whatever came of it.
  func note() { ended.add(1, ordering: .acquiringAndReleasing) }

  /// Calls `flush`, which makes durable what the file holds when it is called. While nobody else
  /// changes the file (`isAlone`), not where that is durable already.
  func makeDurable(
    isAlone: Bool, _ flush: () throws(BlockError) -> Void
  ) throws(BlockError) {
    // Changes that end from here on are for the next flush.
    let ended = ended.load(ordering: .acquiring)
    if isAlone, durable.load(ordering: .acquiring) == ended { return }
    try flush()
    durable.store(ended, ordering: .releasing)
  }
}
