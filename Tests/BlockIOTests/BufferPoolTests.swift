import BlockIO
import Testing

@Suite struct BufferPoolTests {
  @Test("a pool gives as many buffers as it has, then none, and each again when it is back")
  func bound() throws {
    let pool = BufferPool(count: 2, bufferSize: 512)
    let first = try #require(pool.take())
    let second = try #require(pool.take())
    #expect(first !== second && first.count == 512)
    #expect(pool.take() == nil)
    pool.give(first)
    #expect(pool.take() === first)
    #expect(pool.take() == nil)
  }
}
