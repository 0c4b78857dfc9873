import BlockCore
import BlockIO
import ImageFormats
import TestSupport
import Testing

/// Tables that outgrow their place, and disks at both ends of what a size may be.
@Suite("growth", .timeLimit(.minutes(10)))
struct GrowthTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func options(
    _ size: Int, clusterSize: Int = 65_536, refcountBits: Int = 16
  ) -> Qcow2CreateOptions {
    var options = Qcow2CreateOptions(size: size)
    options.clusterSize = clusterSize
    options.refcountBits = refcountBits
    return options
  }

  private func write(_ bytes: [UInt8], to image: Qcow2Image, at offset: Int) throws {
    try bytes.withBytes { (source) throws(BlockError) in
      try image.write(source, at: offset, over: nil)
    }
  }

  private func run(_ outcome: QemuTools.Outcome) {
    #expect(outcome.status == 0, "\(outcome.output)")
  }

  private func header(_ storage: MemoryStorage) throws -> Qcow2Header {
    let bytes = try storage.bytes()
    return try Qcow2Header(decoding: bytes, fileSize: bytes.count, file: "image")
  }

  @Test("the refcount table grows again and again, over closes too")
  func refcountTable() throws {
    let test = try ImageUnderTest(options(6 << 20, clusterSize: 512, refcountBits: 64))
    var random = SeededGenerator(seed: 1)
    var lengths: Set<Int> = []
    for piece in 0..<6 {
      try test.write(random.bytes(1 << 20), at: piece << 20)
      if piece % 2 == 1 { try test.reopen() }
      lengths.insert(try header(test.storage).refcountTableClusters)
    }
    #expect(lengths.count >= 3)
    #expect(try test.view().isSame(as: test.model))
    try test.judge(directory)
  }

  @Test("an L1 table of more clusters than one refcount block counts finds its place")
  func longL1Table() throws {
    let test = try ImageUnderTest(options(1 << 20, clusterSize: 512, refcountBits: 64))
    try test.write([1, 2, 3], at: 1000)
    // 6,400 entries in 100 clusters; a block counts 64.
    try test.image.resize(to: 200 << 20, over: nil)
    try write([4, 5, 6], to: test.image, at: 200 << 20 - 3)
    try test.image.close()
    #expect(try test.storage.size() < 1 << 20)
    #expect(try header(test.storage).l1Entries == 6400)
    try test.storage.check(directory)
    #expect(try test.view(ByteRange(at: 1000, length: 3)) == [1, 2, 3])
    #expect(try test.view(ByteRange(at: 200 << 20 - 3, length: 3)) == [4, 5, 6])
  }

  @Test("new tables make the file longer many at a time; a flush cuts it to what is in use")
  func ahead() throws {
    let log = StorageLog()
    let memory = MemoryStorage(name: "image")
    let storage = RecordingStorage(memory, log: log)
    try Qcow2Create.create(options(1 << 40), on: storage)
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    let before = log.entries.count
    // A table for each half GiB.
    for index in 0..<1000 { try write([1], to: image, at: index << 30) }
    let truncations = log.entries[before...].count {
      if case .truncate = $0.event { true } else { false }
    }
    #expect(truncations < 1000 / 16)
    try image.flush()
    let end = try storage.size()
    let path = try directory.write(memory.bytes(), to: "image")
    let check = try QemuTools.img("check", "--output=json", "-f", "qcow2", path)
    run(check)
    #expect(check.output.contains("\"image-end-offset\": \(end)"))
    // Nothing is left to cut.
    try image.close()
    #expect(try storage.size() == end)
  }

  @Test("a version 2 disk that grows over a longer backing file stores zeros only where it shows")
  func zerosOverBacking() throws {
    var options = options(65_536)
    options.version = 2
    let test = try ImageUnderTest(options, backing: [UInt8](repeating: 7, count: 3 * 65_536))
    try test.resize(to: 64 << 20)
    #expect(try test.view().isSame(as: test.model))
    // Cuts off what the file was made to reach ahead.
    try test.image.flush()
    #expect(try test.storage.size() < 16 * 65_536)
    try test.judge(directory)
  }

  @Test("an L1 table grows from one cluster to two: 1 GiB to 5 TiB with 64 KiB clusters")
  func terabytes() throws {
    let storage = MemoryStorage(name: "image")
    try Qcow2Create.create(options(1 << 30), on: storage)
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    try write([1, 2, 3], to: image, at: 1 << 30 - 3)
    try image.resize(to: 5 << 40, over: nil)
    for terabyte in 1...5 { try write([UInt8(terabyte)], to: image, at: terabyte << 40 - 1) }
    try image.close()
    #expect(try header(storage).l1Bytes > 65_536)
    try storage.check(directory)
    run(
      try QemuTools.io(
        directory.file("image.qcow2"), "read -P 1 \(1 << 30 - 3) 1", "read -P 3 \(1 << 30 - 1) 1",
        "read -P 4 \(4 << 40 - 1) 1", "read -P 5 \(5 << 40 - 1) 1", "read -P 0 \(2 << 40) 4096"))
  }

  @Test(
    "a disk of any size is made, written at its end, emptied and made longer",
    arguments: [
      (0, 65_536), (512, 65_536), (512, 512), (32_768 + 512, 512), (512 << 20 + 512, 65_536),
      (8 << 40, 65_536), (64 << 50, 2 << 20),
    ])
  func sizes(size: Int, clusterSize: Int) throws {
    let storage = MemoryStorage(name: "image")
    try Qcow2Create.create(options(size, clusterSize: clusterSize), on: storage)
    try storage.check(directory)
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    #expect(image.virtualSize == size)
    let marks = [UInt8](repeating: 7, count: 512)
    if size > 0 {
      try write(marks, to: image, at: size - 512)
      try image.flush()
      try storage.check(directory)
      let path = directory.file("image.qcow2")
      run(try QemuTools.io(path, "read -P 7 \(size - 512) 512"))
    }
    let operation = try image.makeEmpty(.reset)
    while try !operation.step() {}
    try storage.check(directory)
    try image.resize(to: size + 1_000_448, over: nil)
    try write(marks, to: image, at: size + 1_000_448 - 512)
    try image.close()
    try storage.check(directory)
    // Memory for what was written, not for what could be.
    #expect(storage.allocated < 16 << 20)
  }

  @Test("an image of refcounts that are one bit wide, full of compressed clusters")
  func oneBitCompressed() throws {
    var random = SeededGenerator(seed: 4)
    var model: [UInt8] = []
    while model.count < 1 << 20 {
      model += [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: 700)
    }
    model.removeLast(model.count - 1 << 20)
    try directory.write(model, to: "source.raw")
    let path = directory.file("c.qcow2")
    run(
      try QemuTools.img(
        "convert", "-c", "-O", "qcow2", "-o", "cluster_size=4096,refcount_bits=1",
        directory.file("source.raw"), path))
    let test = try ImageUnderTest(try directory.read("c.qcow2"), model: model)
    #expect(try test.view().isSame(as: model))
    for _ in 0..<40 {
      let offset = Int.random(in: 0..<model.count - 9000, using: &random)
      try test.write(random.bytes(Int.random(in: 1...9000, using: &random)), at: offset)
    }
    #expect(try test.view().isSame(as: test.model))
    try test.judge(directory)
    try test.makeEmpty(.reset)
    try test.judge(directory)
  }

  @Test("a snapshot outlives a resize and emptying, whichever way is asked for")
  func snapshot() throws {
    let path = directory.file("s.qcow2")
    run(
      try QemuTools.img(
        "create", "-q", "-f", "qcow2", "-o", "cluster_size=4096", path, "3M"))
    run(try QemuTools.io(path, "write -P 1 0 100k", "write -P 2 2M 1M"))
    run(try QemuTools.img("snapshot", "-c", "before", path))
    let old = try directory.read("s.qcow2")
    let zeros = [UInt8](repeating: 0, count: 3 << 20)
    let test = try ImageUnderTest(old, model: zeros)
    try test.write([9, 9, 9], at: 50_000)
    try test.resize(to: 40 << 20)
    try test.write([8], at: 39 << 20)
    #expect(throws: BlockError.self) { try test.image.makeEmpty(.reset) }
    try test.makeEmpty(.auto)
    #expect(try test.view().isSame(as: [UInt8](repeating: 0, count: 40 << 20)))
    try test.image.close()
    try test.storage.check(directory)
    for (image, raw) in [("s.qcow2", "before.raw"), ("image.qcow2", "after.raw")] {
      run(
        try QemuTools.img(
          "convert", "-l", "snapshot.name=before", "-O", "raw", directory.file(image),
          directory.file(raw)))
    }
    // QEMU shows a snapshot as long as the disk is now.
    let before = try directory.read("before.raw")
    #expect(before[2 << 20] == 2)
    let whole = ByteRange(at: 0, length: before.count)
    #expect(try directory.read("after.raw").isSame(as: before, in: whole))
  }

  @Test("on a device the refcount table grows inside it, until the device is full")
  func device() throws {
    let storage = MemoryStorage(
      size: 4 << 20, name: "image", traits: StorageTraits(isDevice: true))
    try Qcow2Create.create(options(64 << 20, clusterSize: 512, refcountBits: 64), on: storage)
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    var written = 0
    let piece = [UInt8](repeating: 5, count: 16_384)
    let error = #expect(throws: BlockError.self) {
      while true {
        try write(piece, to: image, at: written)
        written += piece.count
      }
    }
    #expect(error?.code == .noSpace)
    // One table cluster counts 2 MiB; metadata take about a thirtieth.
    #expect(written > 3_700_000)
    try image.close()
    #expect(try storage.size() == 4 << 20)
    try storage.check(directory)
    run(try QemuTools.io(directory.file("image.qcow2"), "read -P 5 0 \(written)"))
  }

  @Test("an error while an image is made is typed, and the next attempt makes it whole")
  func creation() throws {
    for kind in [StorageOperation.truncate, .write, .flush, .size] {
      for count in 0..<100 {
        let storage = MemoryStorage(name: "image")
        let faulty = FaultyStorage(storage, .init(kind, after: count))
        var wanted = options(10 << 20, clusterSize: 4096)
        wanted.preallocation = .metadata
        do {
          try Qcow2Create.create(wanted, on: faulty)
        } catch {
          #expect([.io, .poisoned].contains(error.code))
        }
        guard faulty.hasFailed else { break }
        faulty.set(nil)
        try Qcow2Create.create(wanted, on: faulty)
        try storage.check(directory)
      }
    }
  }
}
