import Testing

@testable import BlockJobs

@Suite("Rate and remaining time")
struct ProgressMeterTests {
  private static let second: UInt64 = 1_000_000_000

  /// A meter after `seconds` of a steady `rate`, in steps of 10 ms.
  private static func steady(_ rate: Int, seconds: UInt64) -> ProgressMeter {
    var meter = ProgressMeter()
    meter.start(at: 0)
    for step in 1...(seconds * 100) {
      meter.count(rate / 100, at: step * second / 100)
    }
    return meter
  }

  @Test("nothing is known before the first sample")
  func unknown() {
    var meter = ProgressMeter()
    meter.start(at: 0)
    meter.count(5, at: 1)
    #expect(meter.bytesPerSecond(at: 2) == nil)
    #expect(meter.secondsLeft(for: 1, at: 2) == nil)
    #expect(meter.secondsLeft(for: 0, at: 2) == 0)
  }

  @Test("a steady rate is told as it is")
  func steady() throws {
    let meter = Self.steady(50_000_000, seconds: 2)
    let rate = try #require(meter.bytesPerSecond(at: 2 * Self.second))
    #expect(abs(rate - 50_000_000) < 500_000)
    #expect(meter.secondsLeft(for: 500_000_000, at: 2 * Self.second) == 10)
  }

  @Test("a share that is moved at once does not look like a speed above the limit")
  func limited() {
    var meter = ProgressMeter()
    meter.start(at: 0)
    meter.count(1_000_000, at: 1)
    let now = Self.second / 5
    #expect(meter.bytesPerSecond(at: now) == 5_000_000)
    #expect(meter.bytesPerSecond(at: now, limit: 2_000_000) == 2_000_000)
    #expect(meter.secondsLeft(for: 4_000_000, at: now, limit: 2_000_000) == 2)
  }

  @Test("a job that stands still is seen to slow down")
  func stall() throws {
    let meter = Self.steady(50_000_000, seconds: 2)
    let rate = try #require(meter.bytesPerSecond(at: 8 * Self.second))
    #expect(rate < 20_000_000)
  }

  @Test("a pause does not count as standing still")
  func pause() throws {
    var meter = Self.steady(50_000_000, seconds: 2)
    meter.stop(at: 2 * Self.second)
    #expect(try #require(meter.bytesPerSecond(at: 3600 * Self.second)) > 49_000_000)
    meter.start(at: 3600 * Self.second)
    meter.count(500_000, at: 3600 * Self.second + Self.second / 100)
    #expect(try #require(meter.bytesPerSecond(at: 3600 * Self.second + 20_000_000)) > 49_000_000)
  }

  @Test("a new rate is learned within some seconds")
  func change() throws {
    var meter = Self.steady(100_000_000, seconds: 5)
    for step in 1...1000 as ClosedRange<UInt64> {
      meter.count(100_000, at: 5 * Self.second + step * Self.second / 100)
    }
    let rate = try #require(meter.bytesPerSecond(at: 15 * Self.second))
    #expect(rate > 10_000_000 && rate < 20_000_000)
  }
}
