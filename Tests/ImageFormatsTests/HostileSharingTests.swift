import BlockCore
import BlockIO
import ImageFormats
import ImageTrials
import TestSupport
import Testing

/// Many entries that name one and the same thing: the file is short, and what a reader would have
/// to look at is not.
@Suite("entries that all name the same")
struct HostileSharingTests {
  /// An image of 65,536 L1 entries, with the first `count` naming one L2 table; and how many L2
  /// tables make 64 MiB.
  private func image(naming count: Int) throws -> HostileImage {
    var image = try HostileImage(clusterSize: 65_536, size: 32 << 40)
    let table = image.word(at: image.l1Offset)
    for index in 1..<count { image.put64(table, at: image.l1Offset + index * 8) }
    return image
  }
  private static let most = Limits.sharedTableBytes / 65_536

  /// Walks through all of the disk. Returns how many runs there are.
  private func map(_ image: Qcow2Image) throws -> Int {
    var rest = ByteRange(at: 0, length: image.virtualSize)
    var count = 0
    while !rest.isEmpty {
      for run in try image.mappings(in: rest, limit: 1000) {
        rest = rest.dropping(run.range.length)
        count += 1
      }
    }
    return count
  }

  @Test("an L2 table that very many L1 entries name is refused before it is read over and over")
  func manyNames() throws {
    let storage = FaultyStorage(try image(naming: 65_536).storage())
    let image = try Qcow2Image.open(on: storage, readOnly: true)
    _ = try image.info()
    for body in [
      { _ = try self.map(image) }, { _ = try image.view(ByteRange(at: 1 << 40, length: 512)) },
    ] as [() throws -> Void] {
      storage.set(nil)
      let error = #expect(throws: BlockError.self) { try body() }
      #expect(error?.code == .corrupt)
      #expect(error?.message.contains("L1 entries name L2 tables") == true)
      // The L1 table has 512 KiB; it is looked through twice for each size of filter.
      #expect(storage.count(.read) < 64)
    }
    let check = try image.check(.none)
    while try !check.step() {}
    #expect(!check.result.isSound)
    #expect(throws: BlockError.self) { try Qcow2Image.open(on: storage, readOnly: false) }
  }

  @Test("one that a few name is read, so that what is there can be saved")
  func fewNames() throws {
    let whole = try image(naming: 1)
    let bytes = try Qcow2Image.open(on: whole.storage(), readOnly: true).view(
      ByteRange(at: 0, length: 16 * 65_536))
    let damaged = try image(naming: Self.most + 1)
    let reader = try Qcow2Image.open(on: damaged.storage(), readOnly: true)
    for index in [0, 1, Self.most] {
      let range = ByteRange(at: index * 8192 * 65_536, length: 16 * 65_536)
      #expect(try reader.view(range) == bytes)
    }
    let more = try Qcow2Image.open(on: image(naming: Self.most + 2).storage(), readOnly: true)
    #expect(throws: BlockError.self) { try more.view(ByteRange(at: 0, length: 512)) }
  }

  @Test("different tables in a file too long for a bit for each cluster are read")
  func fullTable() throws {
    var options = Qcow2CreateOptions(size: 1 << 35)
    options.clusterSize = 512
    let storage = MemoryStorage(name: "image")
    try Qcow2Create.create(options, on: storage)
    let header = try Qcow2Header(
      decoding: storage.start(512), fileSize: storage.size(), file: "image")
    var words = [UInt8](repeating: 0, count: header.l1Bytes)
    words.withMutableBytes { bytes in
      for index in 0..<header.l1Entries {
        bytes.setBigEndian(UInt64(1 << 34 + index * 8192) | 1 << 63, at: index * 8)
      }
    }
    try storage.poke(words, at: header.l1Offset)
    try storage.truncate(to: 1 << 34 + header.l1Entries * 8192)
    let image = try Qcow2Image.open(on: storage, readOnly: true)
    let run = try image.mappings(in: ByteRange(at: 1 << 30, length: 1 << 20), limit: 10)
    #expect(run.map(\.content) == [.unallocated])
  }

  @Test("L2 entries that all name one cluster are read, and refused for writing")
  func oneCluster() throws {
    var image = try HostileImage(clusterSize: 4096, size: 2 << 20)
    let entry = image.word(at: image.l2Entry(0))
    for index in 0..<512 { image.put64(entry, at: image.l2Entry(index)) }
    let reader = try Qcow2Image.open(on: image.storage(), readOnly: true)
    #expect(try map(reader) == 512)
    let storage = try image.storage()
    let writer = try Qcow2Image.open(on: storage, readOnly: false)
    let error = #expect(throws: BlockError.self) {
      try [UInt8(1)].withBytes { (byte) throws(BlockError) in
        try writer.write(byte, at: 1 << 20, over: nil)
      }
    }
    #expect(error?.message.contains("Two L2 entries") == true)
    #expect(throws: BlockError.self) {
      let operation = try writer.makeEmpty(.discard)
      while try !operation.step() {}
    }
  }
}
