import BlockCore
import BlockIO
import ImageFormats
import ImageTrials
import TestSupport
import Testing

/// Persistent bitmaps whose directory lies: they are ignored when reading, and nothing is freed by
/// what they say.
@Suite("hostile bitmaps")
struct HostileBitmapTests {
  /// Changes the directory (its offset is given), of which the tables and data follow.
  struct Row: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let change: @Sendable (inout HostileImage, _ directory: Int) -> Void
  }

  static let rows = [
    Row(testDescription: "a table past the end") { $0.put64(1 << 40, at: $1) },
    Row(testDescription: "an unaligned table") { $0.put64(UInt64($1) + 8, at: $1) },
    Row(testDescription: "a table in the header") { $0.put64(0, at: $1) },
    Row(testDescription: "a table where the L1 table is") { $0.put64(UInt64($0.l1Offset), at: $1) },
    Row(testDescription: "a table of 32 GiB") { $0.put32(.max, at: $1 + 8) },
    Row(testDescription: "extra data past the directory") { $0.put32(.max, at: $1 + 20) },
    Row(testDescription: "data where an L2 table is") {
      let table = Int($0.word(at: $1))
      $0.put64(UInt64($0.l2Offset), at: table)
    },
    Row(testDescription: "data where a guest's data are") {
      let table = Int($0.word(at: $1))
      $0.put64(UInt64($0.dataOffset(3)), at: table)
    },
    Row(testDescription: "a table where a guest's data are") {
      $0.put64(UInt64($0.dataOffset(3)), at: $1)
    },
    Row(testDescription: "two bitmaps with one table") { $0.put64($0.word(at: $1), at: $1 + 32) },
    Row(testDescription: "data where the table is") {
      let table = Int($0.word(at: $1))
      $0.put64(UInt64(table), at: table)
    },
    Row(testDescription: "data where nothing is in use") {
      let table = Int($0.word(at: $1))
      let end = $0.bytes.count.roundedUp(to: 65_536)
      $0.bytes += [UInt8](repeating: 0, count: end + 65_536 - $0.bytes.count)
      $0.put64(UInt64(end), at: table)
    },
    Row(testDescription: "data past the end") {
      let table = Int($0.word(at: $1))
      $0.put64(1 << 50, at: table)
    },
  ]

  private func image() throws -> (HostileImage, directory: Int) {
    let directory = try TemporaryDirectory()
    let path = directory.file("b.qcow2")
    try QemuTools.img("create", "-q", "-f", "qcow2", path, "8M")
    try QemuTools.img("bitmap", "--add", path, "b0")
    try QemuTools.img("bitmap", "--add", path, "b1")
    try QemuTools.io(path, "write -P 3 0 1M")
    let bytes = try directory.read("b.qcow2")
    let header = try Qcow2Header(decoding: bytes, fileSize: bytes.count, file: "b")
    let data = try #require(header.extensionData(HeaderExtension.bitmaps))
    return (HostileImage(bytes), Int(HostileImage(data).word(at: 16)))
  }

  @Test("a directory that lies is ignored when reading; dropping it is refused", arguments: rows)
  func directory(row: Row) throws {
    var (image, directory) = try image()
    row.change(&image, directory)
    let reader = try Qcow2Image.open(on: image.storage(), readOnly: true)
    #expect(try reader.mappings(in: ByteRange(at: 0, length: 1 << 20), limit: 1).count == 1)
    let storage = try image.storage()
    #expect(throws: BlockError.self) { try Qcow2Image.open(on: storage, readOnly: false) }
    let writer = try Qcow2Image.open(on: storage, readOnly: false, dropBitmaps: true)
    let error = #expect(throws: BlockError.self) {
      try writer.writeZeroes(ByteRange(at: 0, length: 65_536), deallocate: true, over: nil)
    }
    #expect(error?.code == .invalidImage, "\(String(describing: error))")
    try? writer.close()
    // Nothing but the bit that says whether they are to be trusted.
    image.put64(0, at: 88)
    #expect(try storage.bytes().isSame(as: image.bytes))
  }

  @Test("bitmaps that lie about nothing go, with all that they held")
  func honest() throws {
    let directory = try TemporaryDirectory()
    let storage = try image().0.storage()
    let writer = try Qcow2Image.open(on: storage, readOnly: false, dropBitmaps: true)
    try writer.writeZeroes(ByteRange(at: 0, length: 65_536), deallocate: true, over: nil)
    try writer.close()
    try storage.check(directory)
  }

  @Test("65,535 bitmaps that share one table are refused before they are all read")
  func aliases() throws {
    var (image, directory) = try image()
    let entry = image.word(at: directory)
    let bytes = 65_535 * 24
    let place = image.bytes.count.roundedUp(to: 65_536)
    image.bytes += [UInt8](
      repeating: 0, count: place + bytes.roundedUp(to: 65_536) - image.bytes.count)
    for index in 0..<65_535 {
      image.put64(entry, at: place + 24 * index)
      image.put32(8192, at: place + 24 * index + 8)
    }
    let offset = try #require(
      (112..<65_536).first { image.word(at: $0) == 0x2385_2875_0000_0018 })
    image.put32(65_535, at: offset + 8)
    image.put64(UInt64(bytes), at: offset + 16)
    image.put64(UInt64(place), at: offset + 24)
    let writer = try Qcow2Image.open(on: image.storage(), readOnly: false, dropBitmaps: true)
    let error = #expect(throws: BlockError.self) {
      try writer.writeZeroes(ByteRange(at: 0, length: 65_536), deallocate: true, over: nil)
    }
    #expect(error?.message.contains("4194304") == true, "\(String(describing: error))")
  }
}
