import BlockCore
import BlockIO
import ImageFormats
import TestSupport
import Testing

/// Tables of all images in one budget of memory.
@Suite("the budget for tables")
struct CacheBudgetTests {
  /// What the pages that every image may hold take at most, and what surrounds them.
  private static let leastBytes = 64 * 4400 + 16_384

  private func image(
    _ size: Int, clusterSize: Int, _ budget: CacheBudget
  ) throws -> (image: Qcow2Image, storage: MemoryStorage) {
    let storage = MemoryStorage(name: "image")
    var options = Qcow2CreateOptions(size: size)
    options.clusterSize = clusterSize
    try Qcow2Create.create(options, on: storage)
    return (try Qcow2Image.open(on: storage, readOnly: false, budget: budget), storage)
  }

  private func write(_ byte: UInt8, to image: Qcow2Image, at offset: Int) throws {
    try [byte].withBytes { (source) throws(BlockError) in
      try image.write(source, at: offset, over: nil)
    }
  }

  private func read(_ image: Qcow2Image, at offset: Int) throws -> UInt8 {
    var byte: [UInt8] = [0xee]
    guard
      case .data? = try image.mappings(in: ByteRange(at: offset, length: 1), limit: 1).first?
        .content
    else { return 0 }
    try byte.withMutableBytes { (target) throws(BlockError) in
      try image.read(into: &target, at: offset)
    }
    return byte[0]
  }

  @Test("a disk of 2 EiB, whose L1 table has 32 MiB, is used with a budget of 1 MiB")
  func largestL1() throws {
    let directory = try TemporaryDirectory()
    let budget = CacheBudget(bytes: 1 << 20)
    let (image, storage) = try image(1 << 61, clusterSize: 2 << 20, budget)
    let places = (0..<300).map { $0 * ((1 << 61) / 300) }
    for (number, place) in places.enumerated() {
      try write(UInt8(number % 255 + 1), to: image, at: place)
      #expect(budget.usedBytes <= 1 << 20)
    }
    try image.close()
    let reader = try Qcow2Image.open(on: storage, readOnly: true, budget: budget)
    for (number, place) in places.enumerated() {
      #expect(try read(reader, at: place) == UInt8(number % 255 + 1))
    }
    #expect(budget.usedBytes <= 1 << 20)
    var rest = ByteRange(at: 0, length: 1 << 61)
    var runs = 0
    while !rest.isEmpty {
      for run in try reader.mappings(in: rest, limit: 1 << 20) {
        if case .data = run.content { runs += 1 }
        rest = rest.dropping(run.range.length)
      }
    }
    #expect(runs == places.count)
    try storage.check(directory)
  }

  @Test("a full L1 table is told apart entry by entry in bounded memory")
  func manyTables() throws {
    let storage = MemoryStorage(name: "image")
    var options = Qcow2CreateOptions(size: 1 << 31)
    options.clusterSize = 512
    try Qcow2Create.create(options, on: storage)
    let header = try Qcow2Header(
      decoding: storage.start(512), fileSize: storage.size(), file: "i")
    #expect(header.l1Entries == 65_536)
    let first = try storage.size().roundedUp(to: 512) + 1 << 20
    var words = [UInt8](repeating: 0, count: header.l1Bytes)
    words.withMutableBytes { bytes in
      for index in 0..<header.l1Entries {
        bytes.setBigEndian(UInt64(first + index * 512) | 1 << 63, at: index * 8)
      }
    }
    try storage.poke(words, at: header.l1Offset)
    try storage.truncate(to: first + header.l1Entries * 512)
    let budget = CacheBudget(bytes: 2 << 20)
    let image = try Qcow2Image.open(on: storage, readOnly: false, budget: budget)
    #expect(budget.usedBytes <= 2 << 20)
    try write(7, to: image, at: 1 << 30)
    #expect(try read(image, at: 1 << 30) == 7)
    try image.close()

    // The last table is the first one too.
    try storage.poke(Array(words[..<8]), at: header.l1Offset + header.l1Bytes - 8)
    let error = #expect(throws: BlockError.self) {
      try Qcow2Image.open(on: storage, readOnly: false)
    }
    #expect(error?.message.hasSuffix(", where the L2 table is") == true)
  }

  @Test("tables that are dropped are gone before that is written")
  func droppedTables() throws {
    let test = try ImageUnderTest(
      {
        var options = Qcow2CreateOptions(size: 4 << 20)
        options.clusterSize = 512
        return options
      }())
    for index in 0..<128 { try test.write([1, 2, 3], at: index * 32_768) }
    try test.image.flush()
    let operation = try test.image.makeEmpty(.discard)
    var steps = 0
    var isDone = false
    while !isDone {
      isDone = try operation.step()
      steps += 1
      let gone = try test.image.mappings(in: ByteRange(at: 0, length: 4 << 20), limit: 1).first
      #expect(gone?.content == .unallocated)
      #expect(gone?.range.length == min(4 << 20, steps * 32 * 32_768))
    }
    // The last one gives the space back.
    #expect(steps == 5)
  }

  @Test("an image at work takes the pages of one that rests")
  func idleGivesBack() throws {
    let budget = CacheBudget(bytes: 1 << 20)
    let (resting, _) = try image(64 << 20, clusterSize: 512, budget)
    let (working, _) = try image(64 << 20, clusterSize: 512, budget)
    for image in [resting, working] {
      for index in 0..<2048 { try write(UInt8(index % 255 + 1), to: image, at: index * 32_768) }
      try image.flush()
    }
    for index in 0..<2048 { _ = try read(resting, at: index * 32_768) }
    for index in 0..<2048 { _ = try read(working, at: index * 32_768) }
    let both = budget.usedBytes
    #expect(both <= 1 << 20)
    #expect(both > 1 << 19)
    for index in 0..<2048 {
      #expect(try read(resting, at: index * 32_768) == UInt8(index % 255 + 1))
    }
    #expect(budget.usedBytes <= 1 << 20)
  }

  @Test("what an image holds goes back when it goes")
  func closing() throws {
    let budget = CacheBudget(bytes: 1 << 20)
    do {
      let (image, _) = try image(8 << 20, clusterSize: 512, budget)
      for index in 0..<256 { try write(1, to: image, at: index * 32_768) }
      #expect(budget.usedBytes > 0)
      #expect(budget.dirtyBytes > 0)
      try image.flush()
      #expect(budget.dirtyBytes == 0)
    }
    #expect(budget.usedBytes == 0)
  }

  @Test("images that all have something to write stay within the budget, and lose nothing")
  func manyDirty() throws {
    let directory = try TemporaryDirectory()
    let budget = CacheBudget(bytes: 2 << 20)
    let images = try (0..<4).map { _ in try image(32 << 20, clusterSize: 512, budget) }
    var random = SeededGenerator(seed: 3)
    var written = images.map { _ in [Int: UInt8]() }
    for step in 0..<6000 {
      let number = step % images.count
      let place = Int.random(in: 0..<32 << 20, using: &random)
      try write(UInt8(step % 255 + 1), to: images[number].image, at: place)
      written[number][place] = UInt8(step % 255 + 1)
      // Half may be dirty, and every image its least.
      #expect(budget.dirtyBytes <= 1 << 20 + images.count * Self.leastBytes)
      #expect(budget.usedBytes <= 2 << 20 + images.count * Self.leastBytes)
    }
    for (number, (image, storage)) in images.enumerated() {
      for (place, byte) in written[number] { #expect(try read(image, at: place) == byte) }
      try image.close()
      try storage.check(directory)
    }
  }

  @Test("what waits to be written beside the pages counts against the budget, until it is written")
  func waitingChanges() throws {
    let budget = CacheBudget(bytes: 64 << 10, leastPages: 1)
    let images = try (0..<8).map { _ in try image(4 << 20, clusterSize: 512, budget).image }
    for image in images {
      // No two clusters of a table are neighbours.
      for cluster in 0..<4 {
        for index in 0..<128 { try write(7, to: image, at: index * 32_768 + cluster * 2048) }
      }
      try image.flush()
    }
    #expect(budget.dirtyBytes == 0)
    let operations = try images.map { try $0.makeEmpty(.discard) }
    // Half of the budget for all, the least for each, and what one more table brings.
    let most = 32 << 10 + images.count * (4400 + 64 * 48)
    #expect(try !operations[0].step())
    // The references of 32 tables wait until these are durably gone.
    #expect(budget.dirtyBytes > 32 * 48)
    var left = Array(operations.indices)
    while !left.isEmpty {
      left = try left.filter { try !operations[$0].step() }
      #expect(budget.dirtyBytes <= most)
      #expect(budget.usedBytes <= most + 64 << 10)
    }
    #expect(budget.dirtyBytes == 0)
  }

  @Test("an image under its own limits, however small, holds what it must")
  func limits() throws {
    let storage = MemoryStorage(name: "image")
    var options = Qcow2CreateOptions(size: 32 << 20)
    options.clusterSize = 512
    try Qcow2Create.create(options, on: storage)
    let budget = CacheBudget()
    let image = try Qcow2Image.open(
      on: storage, readOnly: false, cache: CacheSizes(l2: 100_000, refcount: 0), budget: budget)
    for index in 0..<1024 { try write(UInt8(index % 255 + 1), to: image, at: index * 32_768) }
    #expect(budget.usedBytes <= 100_000 + Self.leastBytes)
    for index in 0..<1024 {
      #expect(try read(image, at: index * 32_768) == UInt8(index % 255 + 1))
    }
    #expect(budget.usedBytes <= 100_000 + Self.leastBytes)
  }

  @Test(
    "sizes that contradict each other are refused as QEMU refuses them",
    arguments: [
      (
        CacheSizes(total: 1_310_720, l2: 1 << 20, refcount: 262_144),
        "cache-size=1310720,l2-cache-size=1048576,refcount-cache-size=262144"
      ),
      (CacheSizes(total: 1 << 20, l2: 2 << 20), "cache-size=1048576,l2-cache-size=2097152"),
      (
        CacheSizes(total: 1 << 20, refcount: 2 << 20),
        "cache-size=1048576,refcount-cache-size=2097152"
      ),
    ])
  func contradictions(sizes: CacheSizes, options: String) throws {
    let directory = try TemporaryDirectory()
    let storage = MemoryStorage(name: "image")
    try Qcow2Create.create(Qcow2CreateOptions(size: 65_536), on: storage)
    let error = #expect(throws: BlockError.self) {
      try Qcow2Image.open(on: storage, readOnly: true, cache: sizes)
    }
    try directory.write(storage.bytes(), to: "image.qcow2")
    let theirs = try QemuTools.run(
      "qemu-io", ["-c", "open -o \(options) \(directory.file("image.qcow2"))"])
    #expect(error?.code == .invalidArgument)
    #expect(theirs.output.contains(error?.message ?? "?"), "\(theirs.output)")
  }
}
