/// A source of time for code that must be testable without waiting.
package protocol MonotonicClock: Sendable {
  /// Nanoseconds since a fixed, unspecified moment; never goes back, not even when the wall clock
  /// is set.
  var nanoseconds: UInt64 { get }
}

/// The system's monotonic clock.
///
/// Isolation: any thread.
package struct SystemClock: MonotonicClock {
  package init() {}
  package var nanoseconds: UInt64 {
    let since = SystemClock.origin.duration(to: .now).components
    return UInt64(since.seconds) * 1_000_000_000 + UInt64(since.attoseconds / 1_000_000_000)
  }
  private static let origin = ContinuousClock.now
}
