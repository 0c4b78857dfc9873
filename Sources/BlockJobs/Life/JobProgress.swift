import Synchronization

/// How far a job is, counted by its steps and read by whoever asks.
///
/// Isolation: any thread; each number is an atomic of its own.
package final class JobProgress: Sendable {
  private let finished = Atomic<Int>(0)
  private let remaining = Atomic<Int>(0)

  package init() {}

  /// What is done.
  package var done: Int { finished.load(ordering: .relaxed) }
  /// Everything, done or not.
  package var total: Int { done + max(0, remaining.load(ordering: .relaxed)) }

  /// Counts `units` of what was left as done.
  package func advance(by units: Int) {
    remaining.subtract(units, ordering: .relaxed)
    finished.add(units, ordering: .relaxed)
  }
  /// There is more to do than was said, or less where `units` is negative.
  package func expect(_ units: Int) { remaining.add(units, ordering: .relaxed) }
  /// Nothing is left of what was expected so far.
  package func settle() { remaining.store(0, ordering: .relaxed) }
  /// Says how much is done of how much, for work that counts in its own units.
  package func set(done: Int, total: Int) {
    finished.store(done, ordering: .relaxed)
    remaining.store(total - done, ordering: .relaxed)
  }
}
