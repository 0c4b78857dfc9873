/// Tells how fast a job is and when it will be done, from what it has done so far.
///
/// The rate is an average in which a sample that is three seconds old counts for about a third.
/// Time spent paused does not count. A job that is held to a speed moves a whole share and then
/// waits for the time that it was worth; so that the share alone does not look like the speed, no
/// rate above the limit is told.
///
/// Isolation: value. All times are nanoseconds of one monotonic clock.
package struct ProgressMeter: Sendable {
  /// Samples are at least this long, so that bursts of small steps do not make the rate jump.
  private static let sampleNanoseconds: UInt64 = 100_000_000
  private static let memorySeconds = 3.0

  private var sampleStart: UInt64?
  private var sampleBytes = 0
  private var average: Double?

  package init() {}

  /// Starts the clock, at the job's start and after a pause.
  package mutating func start(at now: UInt64) {
    sampleStart = now
    sampleBytes = 0
  }

  /// Stops the clock for a pause; the rate keeps its last value.
  package mutating func stop(at now: UInt64) {
    average = rate(at: now)
    sampleStart = nil
  }

  /// Counts `bytes` done at `now`.
  package mutating func count(_ bytes: Int, at now: UInt64) {
    guard let start = sampleStart else { return }
    sampleBytes += bytes
    guard now >= start + ProgressMeter.sampleNanoseconds else { return }
    average = rate(at: now)
    sampleStart = now
    sampleBytes = 0
  }

  /// Bytes per second as known at `now`, for a job held to `limit` (0: to none); nil until there is
  /// a first sample.
  package func bytesPerSecond(at now: UInt64, limit: Int = 0) -> Int? {
    rate(at: now, limit: limit).map { Int(min($0, 1e18)) }
  }

  /// Seconds until `remaining` bytes are done, rounded up, for a job held to `limit` (0: to none);
  /// nil when there is no telling.
  package func secondsLeft(for remaining: Int, at now: UInt64, limit: Int = 0) -> Int? {
    if remaining <= 0 { return 0 }
    guard let rate = rate(at: now, limit: limit), rate >= 1 else { return nil }
    return Int(min((Double(remaining) / rate).rounded(.up), 1e18))
  }

  private func rate(at now: UInt64, limit: Int) -> Double? {
    rate(at: now).map { limit > 0 ? min($0, Double(limit)) : $0 }
  }

  /// The average with the running sample folded in once that is long enough, so that a job which
  /// stands still is seen to slow down.
  private func rate(at now: UInt64) -> Double? {
    guard let start = sampleStart, now >= start + ProgressMeter.sampleNanoseconds else {
      return average
    }
    let seconds = Double(now - start) / 1e9
    let sample = Double(sampleBytes) / seconds
    guard let average else { return sample }
    let weight = seconds / (seconds + ProgressMeter.memorySeconds)
    return average + (sample - average) * weight
  }
}
