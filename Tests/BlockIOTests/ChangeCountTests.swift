import BlockCore
import Testing

@testable import BlockIO

@Suite("Which changes a flush has made durable")
struct ChangeCountTests {
  /// Whether a flush is asked for.
  private func isAsked(_ count: ChangeCount, isAlone: Bool = true) throws(BlockError) -> Bool {
    var isAsked = false
    try count.makeDurable(isAlone: isAlone) { () throws(BlockError) in isAsked = true }
    return isAsked
  }

  @Test("each change is flushed once, also the one before the first")
  func once() throws {
    let count = ChangeCount()
    #expect(try isAsked(count))
    #expect(try !isAsked(count))
    count.note()
    #expect(try isAsked(count))
    #expect(try !isAsked(count))
    #expect(try isAsked(count, isAlone: false))
  }

  @Test("a change that ends while a flush is under way is for the next one")
  func meanwhile() throws {
    let count = ChangeCount()
    try count.makeDurable(isAlone: true) { () throws(BlockError) in count.note() }
    #expect(try isAsked(count))
    #expect(try !isAsked(count))
  }

  @Test("after a flush that failed the next one is asked for")
  func failed() throws {
    let count = ChangeCount()
    #expect(throws: BlockError.self) {
      try count.makeDurable(isAlone: true) { () throws(BlockError) in
        throw BlockError(.io, "no")
      }
    }
    #expect(try isAsked(count))
  }
}
