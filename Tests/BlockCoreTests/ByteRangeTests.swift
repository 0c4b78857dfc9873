import BlockCore
import Testing

@Suite("byte ranges")
struct ByteRangeTests {
  @Test("two runs overlap exactly where they share a byte")
  func overlaps() {
    // Every pair of runs inside 0..<6, against sets of bytes.
    let runs = (0...6).flatMap { low in (low...6).map { ByteRange(from: low, to: $0) } }
    for a in runs {
      for b in runs {
        let shared = Set(a.lower..<a.upper).intersection(b.lower..<b.upper)
        #expect(a.overlaps(b) == !shared.isEmpty, "\(a) and \(b)")
        let common = a.intersection(b)
        #expect(Set(common.lower..<common.upper) == shared, "\(a) and \(b)")
        if !b.isEmpty {
          let isInside = Set(b.lower..<b.upper).isSubset(of: a.lower..<a.upper)
          #expect(a.contains(b) == isInside, "\(a) and \(b)")
        }
      }
    }
  }

  @Test("widened is the smallest run of whole units around, narrowed the largest inside")
  func alignment() {
    for low in 0...16 {
      for high in low...16 {
        let run = ByteRange(from: low, to: high)
        let wide = run.widened(to: 4)
        #expect(wide.lower % 4 == 0 && wide.upper % 4 == 0 && wide.contains(run))
        #expect(low - wide.lower < 4 && wide.upper - high < 4)
        let narrow = run.narrowed(to: 4)
        let inside = (low..<high).filter { $0 / 4 * 4 >= low && $0 / 4 * 4 + 4 <= high }
        #expect(Array(narrow.lower..<narrow.upper) == inside, "\(run)")
      }
    }
  }

  @Test("a run falls apart into its first bytes and the rest")
  func parts() {
    let run = ByteRange(at: 10, length: 5)
    for count in 0...7 {
      let first = run.prefix(count)
      let rest = run.dropping(count)
      #expect(first.lower == 10 && first.upper == rest.lower && rest.upper == 15)
      #expect(first.length == min(count, 5))
    }
    #expect(run.contains(10) && run.contains(14) && !run.contains(15) && !run.contains(9))
    #expect("\(run)" == "[10, 15)")
  }

  @Test("a run may end at the largest offset, and not past it")
  func bounds() async {
    #expect(ByteRange(at: Int.max - 1, length: 1).upper == Int.max)
    await #expect(processExitsWith: .failure) { _ = ByteRange(at: Int.max, length: 1) }
    await #expect(processExitsWith: .failure) { _ = ByteRange(at: -1, length: 1) }
    await #expect(processExitsWith: .failure) { _ = ByteRange(from: 2, to: 1) }
  }
}
