import BlockCore
import BlockIO
import ImageFormats
import TestSupport
import Testing

/// The design of 2014 for emptying an image had these defects; each has its test.
@Suite("emptying: the defects of 2014")
struct MakeEmptyDefectTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func options(
    _ size: Int, clusterSize: Int = 65_536, refcountBits: Int = 16, version: Int = 3
  ) -> Qcow2CreateOptions {
    var options = Qcow2CreateOptions(size: size)
    options.clusterSize = clusterSize
    options.refcountBits = refcountBits
    options.version = version
    return options
  }

  /// The image under test, flushed, on a storage that records, with what it recorded when `body`
  /// ran.
  private func record(
    _ test: ImageUnderTest, _ body: (ImageUnderTest) throws -> Void
  ) throws -> StorageLog {
    try test.image.close()
    let log = StorageLog()
    let recording = RecordingStorage(test.storage, log: log)
    let again = try ImageUnderTest(
      on: test.storage, through: recording, model: test.model, backing: test.backing)
    try body(again)
    test.model = again.model
    test.image = again.image
    return log
  }

  /// What was written into the first sector.
  private func headerWrites(_ log: StorageLog) -> [(offset: Int, bytes: [UInt8])] {
    log.entries.compactMap {
      guard case .write(let offset, let bytes) = $0.event, offset < 512 else { return nil }
      return (offset, bytes)
    }
  }

  private func fill(_ test: ImageUnderTest, _ count: Int, at offset: Int = 0) throws {
    var random = SeededGenerator(seed: 3)
    try test.write(random.bytes(count), at: offset)
  }

  /// The clusters of header, refcount table, refcount block and L1 table.
  private func emptySize(_ test: ImageUnderTest) -> Int {
    let l1 = test.model.count.dividedRoundingUp(
      by: test.image.clusterSize / 8 * test.image.clusterSize)
    return (3 + (l1 * 8).dividedRoundingUp(by: test.image.clusterSize)) * test.image.clusterSize
  }

  private func header(_ test: ImageUnderTest) throws -> Qcow2Header {
    let bytes = try test.storage.bytes()
    return try Qcow2Header(decoding: bytes, fileSize: bytes.count, file: "image")
  }

  @Test("1: the refcount table's length changes with its offset, from three clusters to one")
  func refcountTableLength() throws {
    let test = try ImageUnderTest(options(5 << 20, clusterSize: 512, refcountBits: 64))
    try fill(test, 5 << 20)
    try test.image.flush()
    #expect(try header(test).refcountTableClusters >= 3)
    let log = try record(test) { try $0.makeEmpty(.reset) }
    for write in headerWrites(log) {
      let written = write.offset..<write.offset + write.bytes.count
      #expect(!written.overlaps(48..<60) || (written.contains(48) && written.contains(59)))
    }
    // Its 5 MiB need 160 L1 entries, which lie in three clusters.
    #expect(try header(test).refcountTableClusters == 1)
    #expect(try test.storage.size() == 6 * 512)
    try test.judge(directory)
  }

  @Test("2: L1 table and refcount table switch in one write, flushed before and after")
  func oneWrite() throws {
    let test = try ImageUnderTest(options(1 << 30))
    try fill(test, 1 << 20)
    let log = try record(test) { try $0.makeEmpty(.reset) }
    #expect(headerWrites(log).map(\.offset) == [36, 36])
    #expect(headerWrites(log).map(\.bytes.count) == [44, 44])
    for (index, entry) in log.entries.enumerated() {
      guard case .write(36, _) = entry.event else { continue }
      #expect(log.entries[index - 1].event == .flushed)
      #expect(log.entries[index + 1].event == .flushBegan)
    }
  }

  @Test("3: no dirty bit is needed: neither set on the way, nor cleared too early")
  func dirtyBit() throws {
    var lazy = options(1 << 20, clusterSize: 4096)
    lazy.lazyRefcounts = true
    let test = try ImageUnderTest(lazy)
    try fill(test, 100_000)
    let log = try record(test) { try $0.makeEmpty(.reset) }
    for write in headerWrites(log) { #expect(write.bytes.suffix(8).allSatisfy { $0 == 0 }) }
    try test.judge(directory)
  }

  @Test("4: all space is given back: the file ends behind the empty tables")
  func space() throws {
    let test = try ImageUnderTest(options(64 << 20))
    try fill(test, 40 << 16)
    let log = try record(test) { try $0.makeEmpty(.reset) }
    #expect(try test.storage.size() == 4 * 65_536)
    #expect(log.entries.contains { $0.event == .truncate(4 * 65_536) })
    try test.judge(directory)
  }

  @Test("5: on the way the file grows by the empty tables, and by no more")
  func noBlowUp() throws {
    let test = try ImageUnderTest(options(64 << 20))
    try fill(test, 5 << 16)
    try test.image.flush()
    let before = try test.storage.size()
    let log = try record(test) { try $0.makeEmpty(.reset) }
    let ends = log.entries.map { entry in
      switch entry.event {
      case .write(let offset, let bytes): offset + bytes.count
      case .writeZeroes(let range, _): range.upper
      case .truncate(let size): size
      default: 0
      }
    }
    #expect(ends.max() == before + 3 * 65_536)
  }

  @Test(
    "6: the L1 table has an entry for a partial last cluster",
    arguments: [(1024, 16 << 20), (65_536, 4 << 40), (512, 2 << 20), (4096, 1 << 30)])
  func partialLastCluster(clusterSize: Int, size: Int) throws {
    let storage = MemoryStorage(name: "image")
    try Qcow2Create.create(options(size + 512, clusterSize: clusterSize), on: storage)
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    let last = [UInt8](repeating: 0x5a, count: 512)
    for _ in 0..<2 {
      try last.withBytes { (bytes) throws(BlockError) in
        try image.write(bytes, at: size, over: nil)
      }
      try image.flush()
      try storage.check(directory)
      let operation = try image.makeEmpty(.reset)
      while try !operation.step() {}
      try storage.check(directory)
      let bytes = try storage.bytes()
      let header = try Qcow2Header(decoding: bytes, fileSize: bytes.count, file: "image")
      #expect(header.l1Entries == size / (clusterSize / 8 * clusterSize) + 1)
      let runs = try image.mappings(in: ByteRange(at: 0, length: size + 512), limit: 2)
      #expect(runs.map(\.content) == [.unallocated])
    }
  }

  @Test("7: clusters of 128 KiB to 2 MiB", arguments: [17, 18, 19, 20, 21])
  func largeClusters(bits: Int) throws {
    let test = try ImageUnderTest(options((5 << bits) + 512, clusterSize: 1 << bits))
    try fill(test, 1 << bits, at: 3 << bits)
    try test.makeEmpty(.reset)
    #expect(try test.storage.size() == 4 << bits)
    try test.judge(directory)
    try fill(test, 512, at: 5 << bits)
    try test.judge(directory)
  }

  @Test("8: what is written next goes to the front")
  func freeHint() throws {
    let test = try ImageUnderTest(options(64 << 20))
    try fill(test, 20 << 16)
    try test.makeEmpty(.reset)
    try fill(test, 65_536, at: 1 << 20)
    try test.image.flush()
    // Header, refcount table and block, L1 table, L2 table, data.
    #expect(try test.storage.size() == 6 * 65_536)
    try test.judge(directory)
  }

  @Test("9: attempts that fail leak nothing")
  func retries() throws {
    let base = try ImageUnderTest(options(8 << 20, clusterSize: 4096))
    try fill(base, 500_000)
    try base.image.close()
    let full = BlockError(.noSpace, "No space left on device", errno: 28)
    for kind in [StorageOperation.write, .writeZeroes, .truncate] {
      let storage = try MemoryStorage(base.storage.bytes(), name: "image")
      let faulty = FaultyStorage(storage)
      let test = try ImageUnderTest(
        on: storage, through: faulty, model: base.model, backing: nil)
      for attempt in 0..<3 {
        faulty.set(.init(kind, after: attempt, full))
        do { try test.makeEmpty(.reset) } catch let error as BlockError {
          #expect(error.code == .noSpace)
        }
        faulty.set(nil)
        try storage.check(directory, "\(kind) \(attempt)")
      }
      try test.makeEmpty(.reset)
      #expect(try storage.size() == emptySize(test))
      try test.judge(directory)
    }
  }

  @Test("10: every refcount width", arguments: [1, 2, 4, 8, 16, 32, 64])
  func refcountWidths(bits: Int) throws {
    for clusterSize in [512, 65_536] {
      let test = try ImageUnderTest(
        options(1 << 20, clusterSize: clusterSize, refcountBits: bits))
      try fill(test, 300_000)
      try test.makeEmpty(.reset)
      #expect(try test.storage.size() == emptySize(test))
      try test.judge(directory)
      try fill(test, 300_000)
      try test.judge(directory)
    }
  }

  @Test("13: version 2, whose header ends before the feature bits")
  func version2() throws {
    let test = try ImageUnderTest(options(64 << 20, clusterSize: 4096, version: 2))
    try fill(test, 1 << 20)
    let log = try record(test) { try $0.makeEmpty(.reset) }
    #expect(headerWrites(log).map(\.offset) == [36, 36])
    #expect(headerWrites(log).map(\.bytes.count) == [36, 36])
    #expect(try test.storage.size() == emptySize(test))
    try test.judge(directory)
  }
}
