import BlockCore
import BlockIO
import Dispatch
import TestSupport
import Testing

/// What every storage must do alike, whatever is below it.
@Suite struct StorageContractTests {
  enum Kind: String, CaseIterable, CustomTestStringConvertible {
    case memory, disk, directDisk, ring, directRing, tmpfs, faultless
    var testDescription: String { rawValue }
  }

  /// A storage of the kind, and what must live as long as it.
  static func make(_ kind: Kind) throws -> (storage: any Storage, keep: TemporaryDirectory?) {
    switch kind {
    case .memory: return (MemoryStorage(), nil)
    case .faultless: return (FaultyStorage(RecordingStorage(MemoryStorage(), log: .init())), nil)
    case .disk, .directDisk, .ring, .directRing, .tmpfs:
      let directory = try TemporaryDirectory(in: kind == .tmpfs ? "/dev/shm" : nil)
      let options = HostFileOptions(
        direct: kind == .directDisk || kind == .directRing,
        rings: try RingPool.of(kind == .ring || kind == .directRing ? .ring : .threads))
      return (try HostFile.create(FileName(directory.file("image")), options), directory)
    }
  }

  /// A file as it should be, in plain bytes.
  struct Model {
    var bytes: [UInt8] = []
    mutating func replace(_ offset: Int, _ new: [UInt8]) {
      if bytes.count < offset + new.count {
        bytes += [UInt8](repeating: 0, count: offset + new.count - bytes.count)
      }
      bytes.replaceSubrange(offset..<offset + new.count, with: new)
    }
    func part(_ offset: Int, _ count: Int) -> [UInt8] {
      let rest = offset < bytes.count ? Array(bytes[offset...].prefix(count)) : []
      return rest + [UInt8](repeating: 0, count: count - rest.count)
    }
  }

  @Test(
    "any sequence of operations leaves the bytes that a plain array would hold",
    arguments: Kind.allCases, [1, 2, 3] as [UInt64])
  func randomOperations(kind: Kind, seed: UInt64) throws {
    let (storage, keep) = try StorageContractTests.make(kind)
    defer { withExtendedLifetime(keep) {} }
    var random = SeededGenerator(seed: seed)
    var model = Model()
    for _ in 0..<200 {
      let offset = Int.random(in: 0..<600_000, using: &random)
      let length = [1, 13, 512, 4096, 70_000, 300_001].randomElement(using: &random) ?? 1
      let start = Bool.random(using: &random) ? offset : offset.roundedDown(to: 4096)
      let range = ByteRange(at: start, length: length)
      switch Int.random(in: 0..<6, using: &random) {
      case 0, 1:
        let bytes = random.bytes(length)
        try storage.write(bytes, at: start)
        model.replace(start, bytes)
      case 2, 3:
        try storage.writeZeroes(range, deallocate: Bool.random(using: &random))
        model.replace(start, [UInt8](repeating: 0, count: length))
      case 4:
        let size = Int.random(in: 0...model.bytes.count, using: &random)
        try storage.truncate(to: size)
        model.bytes = Array(model.bytes.prefix(size))
      default:
        #expect(try storage.read(range) == model.part(start, length))
      }
      #expect(try storage.size() == model.bytes.count)
    }
    #expect(try storage.read(ByteRange(at: 0, length: model.bytes.count)) == model.bytes)
    try storage.flush()
    try storage.close()
  }

  @Test(
    "a read past the end tells how much there was, and zeros the rest", arguments: Kind.allCases)
  func readPastEnd(kind: Kind) throws {
    let (storage, keep) = try StorageContractTests.make(kind)
    defer { withExtendedLifetime(keep) {} }
    try storage.write([1, 2, 3], at: 5000)
    var bytes = [UInt8](repeating: 9, count: 8)
    #expect(try bytes.withMutableBytes { try storage.read(into: &$0, at: 5001) } == 2)
    #expect(bytes == [2, 3, 0, 0, 0, 0, 0, 0])
    bytes = [9, 9]
    #expect(try bytes.withMutableBytes { try storage.read(into: &$0, at: 90_000) } == 0)
    #expect(bytes == [0, 0])
  }

  @Test(
    "a hole made where data were found is found, too",
    arguments: [Kind.memory, .disk, .directDisk, .tmpfs], [true, false])
  func newHole(kind: Kind, byTruncating: Bool) throws {
    let (storage, keep) = try StorageContractTests.make(kind)
    defer { withExtendedLifetime(keep) {} }
    let whole = ByteRange(at: 0, length: 8 << 20)
    try storage.write([UInt8](repeating: 1, count: whole.length), at: 0)
    #expect(try storage.extent(in: whole) == StorageExtent(range: whole, isData: true))
    let hole = ByteRange(from: 4 << 20, to: whole.upper)
    if byTruncating {
      try storage.truncate(to: hole.lower)
      try storage.truncate(to: hole.upper)
    } else {
      try storage.writeZeroes(hole, deallocate: true)
    }
    #expect(try storage.extent(in: hole) == StorageExtent(range: hole, isData: false))
  }

  @Test(
    "extents cover a sparse file without a gap, and no hole hides a byte",
    arguments: Kind.allCases)
  func extents(kind: Kind) throws {
    let (storage, keep) = try StorageContractTests.make(kind)
    defer { withExtendedLifetime(keep) {} }
    let block = [UInt8](repeating: 7, count: 65536)
    try storage.write(block, at: 1 << 20)
    try storage.write(block, at: 3 << 20)
    try storage.truncate(to: 5 << 20)
    try storage.flush()
    var rest = ByteRange(at: 0, length: 6 << 20)
    var data = 0
    while !rest.isEmpty {
      let extent = try storage.extent(in: rest)
      #expect(extent.range.lower == rest.lower && !extent.range.isEmpty)
      #expect(rest.contains(extent.range))
      if extent.isData {
        data += extent.range.length
      } else {
        #expect(try storage.read(extent.range.prefix(1 << 20)).allSatisfy { $0 == 0 })
      }
      rest = rest.dropping(extent.range.length)
    }
    #expect(data == 2 * block.count)
  }

  @Test(
    "a zeroed range with deallocation holds no bytes; one without stays reserved",
    arguments: [Kind.memory, .disk, .directDisk, .tmpfs])
  func holes(kind: Kind) throws {
    let (storage, keep) = try StorageContractTests.make(kind)
    defer { withExtendedLifetime(keep) {} }
    let whole = ByteRange(at: 0, length: 1 << 20)
    try storage.write([UInt8](repeating: 7, count: whole.length), at: 0)
    try storage.writeZeroes(whole, deallocate: true)
    #expect(try storage.extent(in: whole) == StorageExtent(range: whole, isData: false))
    try storage.writeZeroes(whole, deallocate: false)
    #expect(try storage.read(whole).allSatisfy { $0 == 0 })
    if let keep { #expect(try TestFile.allocated(keep.file("image")) >= whole.length) }
  }

  @Test("a batch does what its requests would do one by one", arguments: Kind.allCases)
  func batch(kind: Kind) throws {
    let (storage, keep) = try StorageContractTests.make(kind)
    defer { withExtendedLifetime(keep) {} }
    var random = SeededGenerator(seed: 5)
    let buffers = (0..<5).map { _ in IOBuffer(count: 8192) }
    let content = buffers.map { _ in random.bytes(8192) }
    for (buffer, bytes) in zip(buffers, content) {
      buffer.withMutableBytes(0..<8192) { target in bytes.withBytes { target.copy($0) } }
    }
    // Three side by side in mixed order, one apart, one with a part of its buffer.
    let offsets = [8192, 0, 16384, 100_000, 65_536]
    var requests = zip(offsets, buffers).map { IORequest(.write, at: $0, $1, 0..<8192) }
    requests[3].part = 4096..<4100
    try storage.perform(requests)
    var model = Model()
    for (request, bytes) in zip(requests, content) {
      model.replace(request.offset, Array(bytes[request.part]))
    }
    #expect(try storage.read(ByteRange(at: 0, length: 100_004)) == model.bytes)

    // Read back by a batch whose last requests go past the end.
    let reads = [0, 4096, 98_304, 106_496].map { offset in
      IORequest(.read, at: offset, IOBuffer(count: 8192), offset == 0 ? 0..<4096 : 0..<8192)
    }
    for read in reads {
      read.buffer.withMutableBytes(0..<8192) { (bytes: inout MutableRawSpan) in
        for index in 0..<8192 { bytes.storeBytes(of: 0xee, toByteOffset: index, as: UInt8.self) }
      }
    }
    try storage.perform(reads)
    for read in reads {
      let bytes = read.buffer.withBytes(read.part) { $0.copied() }
      #expect(bytes == model.part(read.offset, read.part.count))
    }
  }

  @Test(
    "writers side by side, in parts of blocks and past the end, do not undo each other's work",
    arguments: Kind.allCases)
  func concurrentWriters(kind: Kind) throws {
    let (storage, keep) = try StorageContractTests.make(kind)
    defer { withExtendedLifetime(keep) {} }
    // Each worker owns every fourth piece, and the first one zeros. They go over the file many
    // times, so that they meet.
    let pieces = [100, 4096, 1000, 2995]
    let turn = pieces.reduce(0, +)
    DispatchQueue.concurrentPerform(iterations: 4) { worker in
      let start = pieces[..<worker].reduce(0, +)
      let bytes = [UInt8](repeating: UInt8(worker), count: pieces[worker])
      for round in 0..<200 {
        let range = ByteRange(at: round % 5 * turn + start, length: bytes.count)
        #expect(throws: Never.self) {
          try storage.write([UInt8](repeating: 8, count: bytes.count), at: range.lower)
          if worker == 0 {
            try storage.writeZeroes(range, deallocate: round % 2 == 0)
          } else {
            try storage.write(bytes, at: range.lower)
          }
        }
        #expect((try? storage.read(range)) == bytes)
      }
    }
    let once = pieces.enumerated().flatMap { [UInt8](repeating: UInt8($0), count: $1) }
    let all = (0..<5).flatMap { _ in once }
    #expect(try storage.size() == all.count)
    #expect(try storage.read(ByteRange(at: 0, length: all.count)) == all)
  }
}

extension Storage {
  /// The bytes of `range`.
  func read(_ range: ByteRange) throws(BlockError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xee, count: range.length)
    try bytes.withMutableBytes { (span: inout MutableRawSpan) throws(BlockError) in
      _ = try read(into: &span, at: range.lower)
    }
    return bytes
  }

  /// Writes all of `bytes`.
  func write(_ bytes: [UInt8], at offset: Int) throws(BlockError) {
    try bytes.withBytes { (span) throws(BlockError) in try write(span, at: offset) }
  }
}
