/// How jobs ended that are gone: a bounded number of them, for a bounded time.
///
/// Isolation: value.
package struct JobHistory: Sendable {
  /// One of them.
  package struct Entry: Sendable {
    /// The job as it was last.
    package let job: JobSnapshot
    /// When it went, in nanoseconds on the registry's clock.
    let end: UInt64
  }

  private let most: Int
  private let keep: UInt64
  private var entries: [Entry] = []

  /// A history of at most `most` jobs, each for `seconds`.
  package init(most: Int = 256, seconds: Int = 86_400) {
    precondition(most >= 0 && seconds >= 0)
    self.most = most
    let (product, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    keep = overflow ? .max : product
  }

  /// Keeps `job`, which went at `now`; forgets what is too old or too much.
  mutating func add(_ job: JobSnapshot, at now: UInt64) {
    entries.append(Entry(job: job, end: now))
    forget(before: now)
    entries.removeFirst(max(0, entries.count - most))
  }

  /// The jobs that are remembered at `now`, the one that went first before the others.
  mutating func entries(at now: UInt64) -> [Entry] {
    forget(before: now)
    return entries
  }

  private mutating func forget(before now: UInt64) {
    entries.removeFirst(entries.prefix { now - $0.end >= keep }.count)
  }
}
