import BlockCore
import BlockIO
import ImageFormats
import TestSupport
import Testing

/// What opening an image reads, however long the tables are that it claims.
@Suite("opening: cost")
struct OpeningCostTests {
  private static let entries = 1 << 20
  /// One read of a look through a table.
  private static let window = 64 << 10

  /// An image with 512-byte clusters whose L1 table, of 8 MiB unless told otherwise, is full.
  static func fullImage(entries: Int = entries) throws -> MemoryStorage {
    let storage = MemoryStorage(name: "image")
    var options = Qcow2CreateOptions(size: entries * 32_768)
    options.clusterSize = 512
    try Qcow2Create.create(options, on: storage)
    let header = try Qcow2Header(
      decoding: storage.start(512), fileSize: storage.size(), file: "image")
    // Behind some room for what is written.
    let first = try storage.size().roundedUp(to: 512) + 1 << 20
    var words = [UInt8](repeating: 0, count: header.l1Bytes)
    words.withMutableBytes { bytes in
      for index in 0..<header.l1Entries {
        bytes.setBigEndian(UInt64(first + index * 512) | 1 << 63, at: index * 8)
      }
    }
    try storage.poke(words, at: header.l1Offset)
    try storage.truncate(to: first + header.l1Entries * 512)
    return storage
  }

  @Test("a full L1 table is not read to show what an image is, and once to write to it")
  func fullTable() throws {
    let storage = FaultyStorage(try Self.fullImage())
    let reader = try Qcow2Image.open(on: storage, readOnly: true)
    _ = try reader.info()
    #expect(storage.count(.read) <= 2)

    storage.set(nil)
    let writer = try Qcow2Image.open(on: storage, readOnly: false)
    let once = OpeningCostTests.entries * 8 / OpeningCostTests.window
    // Filters that turn out too small have looked at the first entries before.
    #expect(storage.count(.read) < once + once / 2)

    // What is written next is not a table, and that is known without another look at all of them.
    storage.set(nil)
    try [UInt8(7)].withBytes { (byte) throws(BlockError) in
      try writer.write(byte, at: 1 << 30, over: nil)
    }
    try writer.close()
    #expect(storage.count(.read) < once)
  }

  @Test("of 65,536 snapshots their table is read, once to write and not to show what an image is")
  func manySnapshots() throws {
    let memory = MemoryStorage(name: "image")
    var options = Qcow2CreateOptions(size: 1 << 20)
    options.clusterSize = 512
    try Qcow2Create.create(options, on: memory)
    let (count, offset, entryLength) = (65_536, 1 << 20, 64)
    var table = [UInt8](repeating: 0, count: count * entryLength)
    table.withMutableBytes { bytes in
      for index in 0..<count {
        // L1 tables that do not touch each other, so that each would be a read.
        bytes.setBigEndian(UInt64(1 << 30 + index * 1024), at: index * entryLength)
        bytes.setBigEndian(UInt32(64), at: index * entryLength + 8)
        bytes.setBigEndian(UInt32(16), at: index * entryLength + 36)
      }
    }
    try memory.poke(table, at: offset)
    var field = [UInt8](repeating: 0, count: 12)
    field.withMutableBytes {
      $0.setBigEndian(UInt32(count), at: 0)
      $0.setBigEndian(UInt64(offset), at: 4)
    }
    try memory.poke(field, at: 60)
    try memory.truncate(to: 2 << 30)

    let storage = FaultyStorage(memory)
    _ = try Qcow2Image.open(on: storage, readOnly: true)
    #expect(storage.count(.read) <= 2)
    storage.set(nil)
    let writer = try Qcow2Image.open(on: storage, readOnly: false)
    let once = table.count.dividedRoundingUp(by: Self.window)
    #expect(storage.count(.read) < once + 8)

    storage.set(nil)
    try [UInt8](repeating: 7, count: 4096).withBytes { (bytes) throws(BlockError) in
      try writer.write(bytes, at: 0, over: nil)
    }
    try writer.close()
    #expect(storage.count(.read) < 16)
  }
}
