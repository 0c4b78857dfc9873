import BlockCore
import BlockIO
import ImageFormats
import ImageTrials
import TestSupport
import Testing

/// L1, L2 and refcount entries that lie.
@Suite("hostile tables")
struct HostileTableTests {
  private func run(_ body: () throws -> Void) throws -> BlockError? {
    do {
      try body()
      return nil
    } catch let error as BlockError {
      return error
    }
  }

  /// A word of the image as it is stored now.
  private func isMarkedCorrupt(_ storage: MemoryStorage) throws -> Bool {
    try HostileImage(storage.bytes()).word(at: 72) & 2 != 0
  }

  @Test("an L1 entry that names other metadata makes the image read-only, and marks it")
  func sharedTables() throws {
    let base = try HostileImage(size: 8 << 20)
    let places = [
      base.l1Offset, base.refcountTableOffset, base.refcountBlockOffset, base.l2Offset,
    ]
    for place in places {
      var image = base
      image.put64((1 << 63) | UInt64(place), at: image.l1Offset + 8)
      try expectReadOnly(image, "\(place)")
    }
    for place in places.prefix(2) {
      var image = base
      image.put64((1 << 63) | UInt64(place), at: image.l1Offset)
      let test = try ImageUnderTest(image.bytes, model: [], readOnly: true)
      let error = try run { _ = try test.view(ByteRange(at: 0, length: 512)) }
      #expect(error?.code == .corrupt)
    }
  }

  @Test("an L2 entry that cannot be is told by the guest's offset, which is none in the file")
  func guestOffset() throws {
    var image = try HostileImage()
    image.put64(UInt64(1) << 40, at: image.l2Entry(3))
    let test = try ImageUnderTest(image.bytes, model: [], readOnly: true)
    let error = try run { _ = try test.view(ByteRange(at: 3 * 4096, length: 512)) }
    #expect(error?.code == .corrupt && error?.file == "image")
    #expect(error?.guestOffset == 3 * 4096 && error?.offset == nil)
  }

  private func expectReadOnly(_ image: HostileImage, _ comment: Comment) throws {
    let storage = try image.storage()
    let reader = try Qcow2Image.open(on: storage, readOnly: true)
    #expect(throws: Never.self, comment) {
      try reader.mappings(in: ByteRange(at: 0, length: 1 << 20), limit: 10)
    }
    let error = #expect(throws: BlockError.self, comment) {
      try Qcow2Image.open(on: storage, readOnly: false)
    }
    #expect(error?.code == .corrupt, comment)
    var marked = image
    marked.put64(2, at: 72)
    #expect(try storage.bytes().isSame(as: marked.bytes), comment)
  }

  @Test("live metadata whose refcount is 0 is not taken for a free cluster")
  func refcountZero() throws {
    let base = try HostileImage()
    let live = [0, base.refcountTableOffset, base.l1Offset, base.l2Offset]
    for cluster in live.map({ $0 / 4096 }) {
      var image = base
      image.put(UInt16(0), at: image.refcountBlockOffset + 2 * cluster)
      let storage = try image.storage()
      let test = try ImageUnderTest(
        on: storage, through: storage, model: [UInt8](repeating: 0, count: 1 << 20), backing: nil)
      let error = try run {
        for position in stride(from: 200_000, to: 1 << 20, by: 4096) {
          try test.write([1], at: position)
        }
      }
      #expect(error?.code == .corrupt, "\(cluster)")
      #expect(try isMarkedCorrupt(storage))
      let word = try HostileImage(storage.bytes())
      #expect(word.word(at: word.l1Offset) == image.word(at: image.l1Offset), "\(cluster)")
    }
  }

  @Test("data whose refcount is 0 is found out when it is freed")
  func refcountZeroData() throws {
    var image = try HostileImage()
    let data = Int(image.word(at: image.l2Entry(0)) & 0x00ff_ffff_ffff_fe00)
    image.put(UInt16(0), at: image.refcountBlockOffset + 2 * (data / 4096))
    let storage = try image.storage()
    let test = try ImageUnderTest(
      on: storage, through: storage, model: [UInt8](repeating: 0, count: 1 << 20), backing: nil)
    let error = try run {
      try test.writeZeroes(ByteRange(at: 0, length: 4096), deallocate: true)
      try test.image.flush()
    }
    #expect(error?.code == .corrupt)
    #expect(try isMarkedCorrupt(storage))
  }

  @Test("refcounts that are all at their largest cost space, and no more")
  func refcountsFull() throws {
    for bits in [1, 16, 64] {
      var image = try HostileImage(refcountBits: bits)
      let block = ByteRange(at: image.refcountBlockOffset, length: 4096)
      for offset in stride(from: block.lower, to: block.upper, by: 8) {
        image.put64(.max, at: offset)
      }
      let storage = try image.storage()
      let test = try ImageUnderTest(
        on: storage, through: storage, model: [UInt8](repeating: 0, count: 1 << 20), backing: nil)
      var random = SeededGenerator(seed: 9)
      let bytes = random.bytes(100_000)
      try test.write(bytes, at: 0)
      try test.writeZeroes(ByteRange(at: 0, length: 8192), deallocate: true)
      try test.image.close()
      #expect(try test.view(ByteRange(at: 8192, length: 91_808)) == Array(bytes[8192...]))
    }
  }

  @Test("metadata that a cut file has lost is an error, not zeros")
  func cut() throws {
    let base = try HostileImage()
    for end in [base.l1Offset + 4, base.l1Offset, base.refcountBlockOffset + 1, 5000] {
      var image = base
      image.bytes.removeLast(image.bytes.count - end)
      let storage = try image.storage()
      let error = try run {
        let opened = try Qcow2Image.open(on: storage, readOnly: true)
        _ = try opened.mappings(in: ByteRange(at: 0, length: 1 << 20), limit: 10)
      }
      #expect(error != nil, "\(end)")
    }
  }

  @Test("a short file whose header and L1 table are there is not read past its end")
  func lastByte() throws {
    // The file's last cluster may be short: QEMU leaves it so. Its bytes past the end read zero.
    var image = try HostileImage()
    let whole = image.bytes
    image.bytes.removeLast()
    let storage = try image.storage()
    let test = try ImageUnderTest(
      on: storage, through: storage, model: [UInt8](repeating: 0, count: 1 << 20), backing: nil)
    #expect(throws: Never.self) { try test.view() }
    try test.write([9], at: 11 * 4096 + 4095)
    try test.image.close()
    #expect(try storage.bytes().count == whole.count)
  }

  @Test("a file that is a terabyte long and sparse costs no memory and no time")
  func sparse() throws {
    let image = try HostileImage()
    let storage = try image.storage()
    try storage.truncate(to: 1 << 40)
    let test = try ImageUnderTest(
      on: storage, through: storage, model: [UInt8](repeating: 0, count: 1 << 20), backing: nil)
    try test.write([UInt8](repeating: 3, count: 50_000), at: 500_000)
    try test.image.flush()
    #expect(storage.allocated < 1 << 20)
    try test.makeEmpty(.auto)
    try test.image.close()
    #expect(storage.allocated < 1 << 20)
    #expect(try storage.size() < 1 << 20)
  }

  @Test("tables of a file so long that its refcounts could not count it are not built at its end")
  func absurdlyLong() throws {
    var image = try HostileImage(clusterSize: 512, refcountBits: 64)
    image.replaceExtensions([])
    let storage = try image.storage()
    try storage.truncate(to: 1 << 60)
    let test = try ImageUnderTest(
      on: storage, through: storage, model: [UInt8](repeating: 0, count: 1 << 20), backing: nil)
    try test.write([UInt8](repeating: 3, count: 50_000), at: 500_000)
    try test.makeEmpty(.auto)
    try test.image.close()
    #expect(storage.allocated < 1 << 20)
    let again = try Qcow2Image.open(on: storage, readOnly: false)
    let runs = try again.mappings(in: ByteRange(at: 0, length: 1 << 20), limit: 2)
    #expect(runs.map(\.content) == [.unallocated])
  }

  @Test("damaged snapshot entries: the image opens, and what cannot be shown is told")
  func snapshots() throws {
    for (field, value) in [(36, UInt32.max), (36, 1025), (12, .max), (32, .max), (8, .max)] {
      var image = try HostileImage()
      let table = image.bytes.count.roundedUp(to: 4096)
      image.bytes += [UInt8](repeating: 0, count: table + 64 - image.bytes.count)
      image.put32(1, at: 60)
      image.put64(UInt64(table), at: 64)
      image.put32(value, at: table + field)
      let storage = try image.storage()
      let opened = try Qcow2Image.open(on: storage, readOnly: false)
      let info = try opened.info()
      #expect(info.snapshots.isEmpty == (info.snapshotDamage != nil))
      #expect((info.snapshotDamage == nil) == [32, 8].contains(field))
    }
  }
}
