import BlockCore
import BlockIO
import Glibc
import TestSupport
import Testing

/// The storages that tests put around others do what the tests count on.
@Suite struct WrappingStorageTests {
  @Test("the faults of a faulty storage come when they are due, and once unless they last")
  func faultyStorage() throws {
    let noSpace = BlockError(.noSpace, "No space left on device", errno: ENOSPC)
    let storage = FaultyStorage(MemoryStorage(), .init(.write, after: 1, noSpace))
    try storage.write([1], at: 0)
    _ = try storage.read(ByteRange(at: 0, length: 1))
    #expect(!storage.hasFailed)
    let error = #expect(throws: BlockError.self) { try storage.write([2], at: 0) }
    #expect(error?.code == .noSpace && storage.hasFailed)
    try storage.write([3], at: 0)
    #expect(storage.count(.write) == 3 && storage.count(.read) == 1)

    storage.set(.init(lasts: true))
    for _ in 0..<2 { #expect(throws: BlockError.self) { _ = try storage.size() } }
    storage.set(.init(.flush))
    #expect(throws: BlockError.self) { try storage.flush() }
    #expect(#expect(throws: BlockError.self) { try storage.write([4], at: 0) }?.code == .poisoned)
    storage.set(nil)
    #expect(try storage.read(ByteRange(at: 0, length: 1)) == [3])
  }

  @Test("a log tells every change of several storages in one order, and when a flush is over")
  func recording() throws {
    let log = StorageLog()
    let faulty = FaultyStorage(MemoryStorage(name: "a"))
    let a = RecordingStorage(faulty, log: log)
    let b = RecordingStorage(MemoryStorage(name: "b"), log: log)
    try a.write([1, 2], at: 5)
    try b.truncate(to: 9)
    log.append(.note("ready"))
    try a.flush()
    faulty.set(.init(.flush))
    #expect(throws: BlockError.self) { try a.flush() }
    #expect(
      log.entries == [
        .init("a", .write(offset: 5, bytes: [1, 2])),
        .init("b", .truncate(9)),
        .init("", .note("ready")),
        .init("a", .flushBegan), .init("a", .flushed),
        .init("a", .flushBegan),
      ])
  }
}
