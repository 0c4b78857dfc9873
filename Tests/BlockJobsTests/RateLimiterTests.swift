import Testing

@testable import BlockJobs

@Suite("The speed limit")
struct RateLimiterTests {
  private static let slice = RateLimiter.sliceNanoseconds

  @Test("without a speed nothing waits")
  func unlimited() {
    var limiter = RateLimiter()
    limiter.spend(1 << 40, at: 0)
    #expect(limiter.delay(at: 0) == 0)
  }

  @Test("a slice's share goes at once, the next bytes wait for the slice to end")
  func oneSlice() {
    var limiter = RateLimiter()
    limiter.speed = 1_000_000
    limiter.spend(99_999, at: 0)
    #expect(limiter.delay(at: 10) == 0)
    limiter.spend(1, at: 10)
    #expect(limiter.delay(at: 10) == Self.slice - 10)
    #expect(limiter.delay(at: Self.slice) == 0)
  }

  @Test("who takes more than a share waits as long as it is worth")
  func overspent() {
    var limiter = RateLimiter()
    limiter.speed = 1_000_000
    limiter.spend(2_500_000, at: 0)
    #expect(limiter.delay(at: 0) == 2_500_000_000)
    #expect(limiter.delay(at: 2_000_000_000) == 500_000_000)
  }

  @Test("time in which nothing is moved earns nothing")
  func noCredit() {
    var limiter = RateLimiter()
    limiter.speed = 1_000_000
    limiter.spend(1000, at: 0)
    let later: UInt64 = 3_600_000_000_000
    limiter.spend(100_000, at: later)
    #expect(limiter.delay(at: later) == Self.slice)
  }

  @Test("a new speed counts for what is being waited for", arguments: [0, 10_000_000])
  func faster(speed: Int) {
    var limiter = RateLimiter()
    limiter.speed = 100_000
    limiter.spend(1_000_000, at: 0)
    #expect(limiter.delay(at: 0) == 10_000_000_000)
    limiter.speed = speed
    #expect(limiter.delay(at: Self.slice) == 0)
  }

  @Test("bytes that were not moved after all are given back")
  func refund() {
    var limiter = RateLimiter()
    limiter.speed = 1_000_000
    limiter.spend(100_000, at: 0)
    limiter.refund(100_000)
    #expect(limiter.delay(at: 0) == 0)
  }

  @Test("over a long time the average is the speed, whatever the steps")
  func average() {
    for step in [1000, 4096, 65_536, 2 << 20] {
      var limiter = RateLimiter()
      limiter.speed = 1 << 20
      var (now, moved): (UInt64, Int) = (0, 0)
      while now < 100_000_000_000 {
        limiter.spend(step, at: now)
        moved += step
        now += max(limiter.delay(at: now), 1)
      }
      let rate = Double(moved) / (Double(now) / 1e9)
      #expect(abs(rate / Double(1 << 20) - 1) < 0.05, "\(step)-byte steps")
    }
  }

  @Test("the largest numbers do not overflow")
  func extremes() {
    var limiter = RateLimiter()
    limiter.speed = 1
    limiter.spend(.max, at: .max / 4)
    #expect(limiter.delay(at: .max / 4) > 0)
    limiter.speed = .max
    #expect(limiter.quota == .max / 10)
  }
}
