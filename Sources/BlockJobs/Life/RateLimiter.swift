/// Holds a job to a speed: in each slice of 100 ms it may move its share, then it waits for the
/// slice to end; who moved more than a share waits correspondingly longer.
///
/// A slice begins with the first bytes after the last one ended, so time in which nothing was moved
/// (a pause, a slow disk) earns nothing, and a delay is not forgotten by pausing and resuming.
///
/// Isolation: value. All times are nanoseconds of one monotonic clock.
package struct RateLimiter: Sendable {
  /// The length of a slice.
  package static let sliceNanoseconds: UInt64 = 100_000_000

  /// Bytes per second; 0 is no limit. A change counts at once, also for the running slice.
  package var speed = 0 {
    didSet { precondition(speed >= 0) }
  }
  private var sliceStart: UInt64 = 0
  private var spent = 0

  package init() {}

  /// How many bytes a slice may move; at least one.
  package var quota: Int { max(1, speed / 10) }

  /// Counts `bytes` moved (or about to be moved) at `now`.
  package mutating func spend(_ bytes: Int, at now: UInt64) {
    if now >= sliceEnd {
      sliceStart = now
      spent = 0
    }
    spent = max(0, spent.addingReportingOverflow(bytes).partialValue)
  }

  /// Takes back `bytes` that were counted but not moved.
  package mutating func refund(_ bytes: Int) {
    spent = max(0, spent - bytes)
  }

  /// How long to wait at `now` before the next bytes; 0 is not at all.
  package func delay(at now: UInt64) -> UInt64 {
    guard speed > 0, spent >= quota else { return 0 }
    return sliceEnd > now ? sliceEnd - now : 0
  }

  /// When the running slice ends, made longer by what was moved above its share.
  private var sliceEnd: UInt64 {
    guard speed > 0, spent > 0 else { return sliceStart }
    let worth = min(Double(spent) / Double(speed) * 1e9, 1e18)
    return sliceStart + max(RateLimiter.sliceNanoseconds, UInt64(worth))
  }
}
