import BlockCore
import TestSupport
import Testing

@testable import BlockJobs

@Suite("What is left to be copied")
struct CopyPlanTests {
  private static func range(_ lower: Int, _ length: Int) -> ByteRange {
    ByteRange(at: lower, length: length)
  }

  @Test("runs with small gaps are one stretch, runs with large gaps are not")
  func gaps() {
    var plan = CopyPlan(joining: 100)
    plan.add(Self.range(0, 50), moving: 50)
    plan.add(Self.range(150, 50), moving: 50)
    plan.add(Self.range(301, 50), moving: 50)
    #expect(plan.count == 2)
    #expect(plan.bytes == 150)
    #expect(plan.take(1 << 20, alignment: 1) == .init(range: Self.range(0, 200), bytes: 100))
    #expect(plan.take(1 << 20, alignment: 1) == .init(range: Self.range(301, 50), bytes: 50))
    #expect(plan.take(1 << 20, alignment: 1) == nil)
    #expect(plan.isEmpty)
  }

  @Test("data and zeros stay apart")
  func zeros() {
    var plan = CopyPlan(joining: 100)
    plan.add(Self.range(0, 50), moving: 50)
    plan.add(Self.range(50, 50), moving: 0)
    plan.add(Self.range(100, 50), moving: 50)
    #expect(plan.count == 3)
    #expect(plan.bytes == 100)
  }

  @Test("a long stretch is taken in pieces that end at multiples of the alignment")
  func pieces() {
    var plan = CopyPlan()
    plan.add(Self.range(1000, 1 << 20), moving: 1 << 20)
    #expect(plan.take(100_000, alignment: 65_536)?.range == ByteRange(from: 1000, to: 131_072))
    #expect(plan.take(10, alignment: 65_536)?.range == Self.range(131_072, 65_536))
  }

  @Test("a piece that the alignment makes longer than the budget counts with all its bytes")
  func pieceAboveBudget() {
    var plan = CopyPlan()
    plan.add(Self.range(0, 1 << 20), moving: 1 << 20)
    #expect(plan.take(1, alignment: 65_536)?.bytes == 65_536)
    #expect(plan.bytes == (1 << 20) - 65_536)
  }

  @Test("of a sparse stretch a piece is as long as its bytes are rare")
  func sparse() {
    var plan = CopyPlan(joining: 1 << 20)
    for index in 0..<64 { plan.add(Self.range(index << 20, 65_536), moving: 65_536) }
    #expect(plan.count == 1)
    let piece = plan.take(8 * 65_536, alignment: 4096)
    #expect(piece?.range.length ?? 0 >= 7 << 20)
    #expect(piece?.range.length ?? 0 <= 9 << 20)
  }

  @Test("what is put back comes first")
  func putBack() throws {
    var plan = CopyPlan(joining: 0)
    plan.add(Self.range(0, 100), moving: 100)
    plan.add(Self.range(200, 100), moving: 100)
    let first = plan.take(1000, alignment: 1) ?? .init(range: Self.range(0, 0), bytes: 0)
    plan.putBack(.init(range: first.range.dropping(40), bytes: 60))
    #expect(plan.bytes == 160)
    #expect(plan.take(1000, alignment: 1)?.range == Self.range(40, 60))
    plan.putBack(.init(range: Self.range(7, 0), bytes: 0))
    #expect(plan.count == 1, "nothing is not a stretch")
  }

  @Test("scattered runs keep the plan small, and none is lost", arguments: [3, 64, 1000])
  func thinning(most: Int) {
    var plan = CopyPlan(joining: 0, most: most)
    var generator = SeededGenerator(seed: 7)
    var (runs, end): ([ByteRange], Int) = ([], 0)
    for _ in 0..<5000 {
      let run = Self.range(end + Int.random(in: 1...9000, using: &generator), 512)
      runs.append(run)
      end = run.upper
      plan.add(run, moving: 512)
      #expect(plan.count <= most + 1)
    }
    #expect(plan.bytes == 5000 * 512)
    var index = 0
    var last = 0
    while let item = plan.take(10_000, alignment: 512) {
      #expect(item.range.lower >= last)
      last = item.range.upper
      while index < runs.count, item.range.overlaps(runs[index]) {
        guard runs[index].upper <= item.range.upper else { break }
        index += 1
      }
    }
    #expect(index == runs.count)
  }
}
