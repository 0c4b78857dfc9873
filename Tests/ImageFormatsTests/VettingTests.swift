import BlockCore
import BlockIO
import ImageFormats
import ImageTrials
import TestSupport
import Testing

/// Entries and refcounts that contradict each other are found out by the write that would otherwise
/// destroy data.
@Suite("contradictions met by a write")
struct VettingTests {
  private static let copied: UInt64 = 1 << 63

  private func dataCluster(_ image: HostileImage, _ index: Int) -> Int {
    Int(image.word(at: image.l2Entry(index)) & 0x00ff_ffff_ffff_fe00)
  }

  /// Opens the image, runs `body`, which must fail as corrupt, and expects that the image is marked
  /// and that no byte but the mark has changed.
  private func expectFoundOut(
    _ image: HostileImage, _ comment: Comment, _ body: (ImageUnderTest) throws -> Void
  ) throws {
    let storage = try image.storage()
    let test = try ImageUnderTest(
      on: storage, through: storage, model: [UInt8](repeating: 0, count: Int(image.word(at: 24))),
      backing: nil)
    #expect(!test.image.isDamaged)
    let error = #expect(throws: BlockError.self, comment) { try body(test) }
    #expect(error?.code == .corrupt, comment)
    #expect(test.image.isDamaged, comment)
    let stored = try HostileImage(storage.bytes())
    #expect(stored.word(at: 72) & 2 != 0, comment)
    let all = ByteRange(from: 80, to: image.bytes.count)
    #expect(try storage.bytes().isSame(as: image.bytes, in: all), comment)
    let second = #expect(throws: BlockError.self) { try test.write([1], at: 900_000) }
    #expect(second?.code == .corrupt, comment)
  }

  @Test("a data cluster that two entries call their own is not written", arguments: [1, 2])
  func shared(refcount: UInt16) throws {
    var image = try HostileImage()
    image.put64(image.word(at: image.l2Entry(0)), at: image.l2Entry(1))
    image.put(refcount, at: image.refcountBlockOffset + 2 * (dataCluster(image, 0) / 4096))
    for entry in 0...1 {
      try expectFoundOut(image, "entry \(entry)") { try $0.write([1, 2, 3], at: entry * 4096 + 5) }
    }
  }

  @Test("nor one that an entry of another table names too", arguments: [0, 1 << 63] as [UInt64])
  func sharedAcrossTables(flag: UInt64) throws {
    // One table for each 2 MiB.
    var image = try HostileImage(size: 8 << 20)
    let table = image.append([UInt8](repeating: 0, count: 4096))
    image.put64(Self.copied | UInt64(table), at: image.l1Offset + 24)
    image.put64(flag | UInt64(dataCluster(image, 0)), at: table + 80)
    for place in [5, 6 << 20 + 40_960] {
      try expectFoundOut(image, "\(place)") { try $0.write([1, 2, 3], at: place) }
    }
    // Letting go of the one would leave the other with a cluster that counts as free.
    for place in [0, 6 << 20 + 40_960] {
      try expectFoundOut(image, "discard \(place)") { test in
        try test.image.discard(ByteRange(at: place, length: 4096), .readsZero)
      }
    }
  }

  @Test("a file does not grow to where an entry names what was lost")
  func lostCluster() throws {
    var image = try HostileImage()
    let end = image.bytes.count.roundedUp(to: 4096)
    image.put64(Self.copied | UInt64(end + 4096), at: image.l2Entry(0))
    // The first new cluster is not that one, the next is.
    let storage = try image.storage()
    let test = try ImageUnderTest(
      on: storage, through: storage, model: [UInt8](repeating: 0, count: 1 << 20), backing: nil)
    try test.write([UInt8](repeating: 9, count: 4096), at: 122 * 4096)
    let error = #expect(throws: BlockError.self) {
      for cluster in 123..<128 {
        try test.write([UInt8](repeating: 9, count: 4096), at: cluster * 4096)
      }
    }
    #expect(error?.message.contains("names it, past the end of the file") == true)
    #expect(test.image.isDamaged)
  }

  @Test("what was lost is forgotten when no entry names it any more")
  func lostAndLetGo() throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=65536", size: "64M")
    try stage.io("write -P 1 0 16M")
    // Its refcounts stay.
    try stage.poke { $0.bytes.removeLast(20 << 16) }
    let file = try HostFile.open(stage.path)
    let image = try Qcow2Image.open(on: file, readOnly: false)
    func fill(_ offset: Int, _ length: Int) throws {
      try [UInt8](repeating: 7, count: length).withBytes { (bytes) throws(BlockError) in
        try image.write(bytes, at: offset, over: nil)
      }
    }
    try fill(32 << 20, 65_536)
    let emptying = try image.makeEmpty(.auto)
    while try !emptying.step() {}
    try fill(0, 24 << 20)
    try image.close()
    try file.close()
    #expect(try stage.check().isSound)
    #expect(try stage.oracle()["corruptions"] == nil)
  }

  @Test("data whose refcount is 0 is neither written in place nor given to others")
  func refcountZero() throws {
    var image = try HostileImage()
    image.put(UInt16(0), at: image.refcountBlockOffset + 2 * (dataCluster(image, 0) / 4096))
    try expectFoundOut(image, "in place") { try $0.write([1, 2, 3], at: 5) }

    let storage = try image.storage()
    let test = try ImageUnderTest(
      on: storage, through: storage, model: [UInt8](repeating: 0, count: 1 << 20), backing: nil)
    let error = #expect(throws: BlockError.self) {
      try test.write([UInt8](repeating: 9, count: 4096), at: 500_000)
    }
    #expect(error?.code == .corrupt)
    #expect(error?.message.contains("counts as free") == true)
    let place = dataCluster(image, 0)
    #expect(
      try storage.bytes().isSame(as: image.bytes, in: ByteRange(at: place, length: 4096)))
  }

  @Test("data whose refcount is 0 is found in every table before a cluster is taken")
  func anyTable() throws {
    // One table for each 2 MiB.
    var image = try HostileImage(size: 8 << 20)
    let free = dataCluster(image, 0)
    image.put64(0, at: image.l2Entry(0))
    let table = image.append([UInt8](repeating: 0, count: 4096))
    image.put64(Self.copied | UInt64(table), at: image.l1Offset + 24)
    image.put64(Self.copied | UInt64(free), at: table + 80)
    image.put(UInt16(0), at: image.refcountBlockOffset + 2 * (free / 4096))
    let storage = try image.storage()
    let test = try ImageUnderTest(
      on: storage, through: storage, model: [UInt8](repeating: 0, count: 8 << 20), backing: nil)
    let error = #expect(throws: BlockError.self) { try test.write([1], at: 3 << 20) }
    #expect(error?.code == .corrupt)
    #expect(error?.message.contains("guest offset \(6 << 20 + 40_960)") == true)
    image.put64(2, at: 72)
    #expect(try storage.bytes().isSame(as: image.bytes))
  }

  @Test("where there are too many tables, all that are to name a new cluster are looked through")
  func spanningTables() throws {
    let storage = try OpeningCostTests.fullImage(entries: 20_000)
    let header = try Qcow2Header(
      decoding: storage.start(512), fileSize: storage.size(), file: "image")
    // Two clusters, the last of one table and the first of the next.
    let range = ByteRange(at: 32_768 - 512, length: 1024)
    let other = try OpeningCostTests.fullImage(entries: 20_000)
    let place = try write(range, to: Qcow2Image.open(on: other, readOnly: false))
    let entry = try #require(place)
    let second = try storage.start(header.l1Offset + 16).dropFirst(header.l1Offset + 9)
    let table = second.reduce(0) { $0 << 8 | Int($1) }
    var named = [UInt8](repeating: 0, count: 8)
    named.withMutableBytes { $0.setBigEndian(Self.copied | UInt64(entry), at: 0) }
    try storage.poke(named, at: table + 40)
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    let error = #expect(throws: BlockError.self) { _ = try write(range, to: image) }
    #expect(error?.message.contains("counts as free") == true)
  }

  /// Writes to `range`. Returns where its first byte lies then.
  private func write(_ range: ByteRange, to image: Qcow2Image) throws -> Int? {
    try [UInt8](repeating: 7, count: range.length).withBytes { (bytes) throws(BlockError) in
      try image.write(bytes, at: range.lower, over: nil)
    }
    guard case .data(let host) = try image.mappings(in: range, limit: 1).first?.content else {
      return nil
    }
    return host
  }

  @Test("an L1 entry that is COPIED without a table is refused, not read as nothing")
  func copiedNothing() throws {
    var image = try HostileImage()
    image.put64(Self.copied, at: image.l1Offset)
    let storage = try image.storage()
    let test = try ImageUnderTest(
      on: storage, through: storage, model: [UInt8](repeating: 0, count: 1 << 20), backing: nil)
    for body in [
      { _ = try test.view(ByteRange(at: 0, length: 512)) }, { try test.write([1], at: 0) },
    ] as [() throws -> Void] {
      let error = #expect(throws: BlockError.self) { try body() }
      #expect(error?.code == .corrupt)
    }
    // Nothing is written but that it is corrupt, since it was open for writing.
    image.put64(2, at: 72)
    #expect(try storage.bytes().isSame(as: image.bytes))
  }

  @Test("a compressed cluster at the end of the file, or past it, is refused")
  func compressedAtEnd() throws {
    let base = try HostileImage()
    for past in [0, 1, 511, 4096] {
      var image = base
      image.put64(1 << 62 | UInt64(image.bytes.count + past), at: image.l2Entry(0))
      let storage = try image.storage()
      let reader = try ImageUnderTest(
        on: storage, through: storage, model: [], backing: nil, readOnly: true)
      let error = #expect(throws: BlockError.self) {
        try reader.view(ByteRange(at: 0, length: 512))
      }
      #expect(error?.code == .corrupt, "\(past)")
    }
    var image = base
    image.put64(1 << 62 | UInt64(image.bytes.count - 1), at: image.l2Entry(0))
    let reader = try ImageUnderTest(image.bytes, model: [], readOnly: true)
    let error = #expect(throws: BlockError.self) { try reader.view(ByteRange(at: 0, length: 512)) }
    #expect(error?.code == .corrupt)
  }

  @Test("the last free clusters of a device are used, though fewer than one write asks for")
  func lastClustersOfDevice() throws {
    let size = 40 * 4096
    let storage = MemoryStorage(
      size: size, name: "device", traits: StorageTraits(isDevice: true))
    var options = Qcow2CreateOptions(size: 1 << 20)
    options.clusterSize = 4096
    try Qcow2Create.create(options, on: storage)
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    // Header, refcount table, block, L1 and L2 table take five; one write wants a hundred.
    let bytes = [UInt8](repeating: 7, count: 100 * 4096)
    let error = #expect(throws: BlockError.self) {
      try bytes.withBytes { (source) throws(BlockError) in
        try image.write(source, at: 0, over: nil)
      }
    }
    #expect(error?.code == .noSpace)
    let runs = try image.mappings(in: ByteRange(at: 0, length: 1 << 20), limit: 10)
    #expect(runs.first?.range.length == 35 * 4096)
    #expect(!image.isDamaged)
  }

  @Test(
    "a look through tables reads each table and each block once, however far apart clusters lie")
  func scatteredNames() throws {
    let (tables, clusters) = (2048, 1 << 20)
    let storage = FaultyStorage(try scatteredImage(tables: tables, clusters: clusters))
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    storage.set(nil)
    #expect(try write(ByteRange(at: 0, length: 512), to: image) != nil)
    // The others are for the write itself.
    #expect(storage.count(.read) < tables + clusters / 256 + 100)
  }

  /// An image of 512-byte clusters whose entries name clusters all over the file, in no order.
  private func scatteredImage(tables: Int, clusters: Int) throws -> MemoryStorage {
    let storage = MemoryStorage(name: "image")
    let (size, perTable, perBlock) = (512, 64, 256)
    var options = Qcow2CreateOptions(size: tables * perTable * size)
    options.clusterSize = size
    try Qcow2Create.create(options, on: storage)
    let header = try Qcow2Header(
      decoding: storage.start(512), fileSize: storage.size(), file: "image")
    let blocks = clusters / perBlock
    let refcountTable = try storage.size().roundedUp(to: size)
    let firstBlock = refcountTable + blocks * 8
    let firstTable = firstBlock + blocks * size
    let firstData = firstTable / size + tables
    let step = (clusters - firstData) / (tables * perTable)
    func words(_ count: Int, _ word: (Int) -> Int) -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: count * 8)
      bytes.withMutableBytes { target in
        for index in 0..<count {
          target.setBigEndian(UInt64(bitPattern: Int64(word(index))), at: index * 8)
        }
      }
      return bytes
    }
    func put(_ words: [UInt8], at offset: Int) throws { try storage.poke(words, at: offset) }
    try put(words(1) { _ in refcountTable }, at: 48)
    try put(words(1) { _ in (blocks * 8 / size) << 32 }, at: 56)
    try put(words(blocks) { firstBlock + $0 * size }, at: refcountTable)
    // All count as used.
    try put(words(blocks * size / 8) { _ in 0x0001_0001_0001_0001 }, at: firstBlock)
    let entries = tables * perTable
    try put(words(tables) { (firstTable + $0 * size) | Int.min }, at: header.l1Offset)
    // An odd factor and a power of two: a permutation.
    try put(
      words(entries) { ((firstData + ($0 &* 40_503) % entries * step) * size) | Int.min },
      at: firstTable)
    try storage.truncate(to: clusters * size)
    return storage
  }
}
