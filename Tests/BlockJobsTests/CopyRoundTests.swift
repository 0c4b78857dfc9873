import BlockCore
import TestSupport
import Testing

@testable import BlockJobs

@Suite("How far a step is with what it took from the plan")
struct CopyRoundTests {
  private let items = [
    CopyPlan.Item(range: ByteRange(at: 0, length: 100), bytes: 50),
    CopyPlan.Item(range: ByteRange(at: 200, length: 100), bytes: 100),
    CopyPlan.Item(range: ByteRange(at: 400, length: 10), bytes: 0),
  ]

  @Test("what was looked at and not written is put back")
  func unsettled() {
    var round = CopyRound(items)
    round.advance(by: 60)
    round.settle(30)
    round.advance(by: 40)
    #expect(round.next == ByteRange(at: 200, length: 100))
    round.advance(by: 50)
    #expect(round.next == ByteRange(at: 250, length: 50))
    #expect(
      round.left == [.init(range: ByteRange(at: 60, length: 40), bytes: 20), items[1], items[2]])
    round.settle(70)
    #expect(
      round.left == [.init(range: ByteRange(at: 250, length: 50), bytes: 50), items[2]])
  }

  @Test("at the end nothing is left, whatever was expected")
  func end() {
    var round = CopyRound(items)
    for length in [100, 100, 10] { round.advance(by: length) }
    #expect(round.next == nil)
    #expect(round.left == items)
    round.settle(70)
    #expect(round.left.isEmpty)
    #expect(round.bytes == 150)
    #expect(round.copied == 70)
  }
}
