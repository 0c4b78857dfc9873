import BlockCore
import BlockIO
import ImageFormats
import ImageTrials
import TestSupport
import Testing

/// Valid images with one to three words of metadata changed at random: whatever comes of it, it is
/// an error or an answer, never a trap or a request without end.
@Suite("random pokes", .timeLimit(.minutes(10)))
struct RandomPokeTests {
  /// Images of which every kind of metadata is small enough to be hit often.
  static func bases() throws -> [HostileImage] {
    [
      try HostileImage(clusterSize: 512, refcountBits: 16, size: 100_000),
      try HostileImage(clusterSize: 512, refcountBits: 1, size: 100_000),
      try HostileImage(clusterSize: 512, refcountBits: 64, size: 100_000),
      try HostileImage(version: 2, clusterSize: 512, size: 100_000),
      try HostileImage(clusterSize: 4096, size: 3 << 20),
    ]
  }

  /// Where metadata words lie.
  private static func places(_ image: HostileImage) -> [Int] {
    let header = Array(stride(from: 0, to: 112, by: 4)) + Array(stride(from: 112, to: 160, by: 8))
    let tables = [
      image.l1Offset, image.l2Offset, image.refcountTableOffset, image.refcountBlockOffset,
    ].flatMap { stride(from: $0, to: min($0 + 64, $0 + image.clusterSize), by: 8) }
    return header + tables
  }

  private static func poke(_ image: inout HostileImage, _ random: inout SeededGenerator) {
    let places = places(image)
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      guard let place = places.randomElement(using: &random) else { return }
      if place < 112, Bool.random(using: &random) {
        image.put32(UInt32(truncatingIfNeeded: value(image, place, &random)), at: place)
      } else {
        image.put64(value(image, place, &random), at: place)
      }
    }
  }

  private static func value(
    _ image: HostileImage, _ place: Int, _ random: inout SeededGenerator
  ) -> UInt64 {
    let old = image.word(at: place)
    let cluster = UInt64(image.clusterSize)
    let bit = UInt64(1) << UInt64.random(in: 0..<64, using: &random)
    return switch Int.random(in: 0..<10, using: &random) {
    case 0: 0
    case 1: .max
    case 2: old ^ bit
    case 3: bit
    case 4: bit &- 1
    case 5: old &+ cluster
    case 6: UInt64.random(in: 0..<40, using: &random) * cluster
    case 7: 1 << 63 | UInt64.random(in: 0..<40, using: &random) * cluster
    case 8: 1 << 62 | UInt64.random(in: 0..<40_000, using: &random)
    default: random.next()
    }
  }

  @Test("reading and writing end in an answer or a typed error", arguments: 0..<20)
  func noTrap(block: Int) throws {
    let bases = try Self.bases()
    var opened = 0
    for seed in block * 1000..<(block + 1) * 1000 {
      var random = SeededGenerator(seed: UInt64(seed))
      var image = bases[seed % bases.count]
      Self.poke(&image, &random)
      if try use(image, readOnly: true, &random) { opened += 1 }
      if seed % 2 == 0 || block == 0 { _ = try use(image, readOnly: false, &random) }
    }
    #expect(opened > 100)
  }

  /// Opens the image, and makes a few requests. Returns whether it opened.
  private func use(
    _ image: HostileImage, readOnly: Bool, _ random: inout SeededGenerator
  ) throws -> Bool {
    let storage = try image.storage()
    let limit = try storage.size() + 64 << 20
    guard let opened = try? Qcow2Image.open(on: storage, readOnly: readOnly) else { return false }
    let size = opened.virtualSize
    var requests: [() throws -> Void] = [
      { _ = try opened.info() },
      { try Self.read(opened, ByteRange(at: 0, length: min(size, 20_000))) },
      { try Self.read(opened, ByteRange(from: max(0, size - 5000), to: size)) },
    ]
    if !readOnly { requests += changes(opened, size, &random) }
    for request in requests {
      do { try request() } catch is BlockError {}
    }
    #expect(try storage.size() <= limit)
    return true
  }

  private func changes(
    _ image: Qcow2Image, _ size: Int, _ random: inout SeededGenerator
  ) -> [() throws -> Void] {
    let offset = size > 30_000 ? Int.random(in: 0..<min(size, 1 << 20) - 20_000, using: &random) : 0
    let range = ByteRange(at: offset, length: min(size - offset, 9_000))
    let bytes = [UInt8](repeating: 0xaa, count: range.length)
    let all: [() throws -> Void] = [
      {
        try bytes.withBytes { (source) throws(BlockError) in
          try image.write(source, at: offset, over: nil)
        }
      },
      { try image.writeZeroes(range, deallocate: true, over: nil) },
      { try image.discard(range, .fallsThrough) },
      { try image.flush() },
      { try image.setBackingLink(BackingLink(name: "other", format: "qcow2")) },
      { try image.resize(to: size + 70_000, over: nil) },
      {
        let operation = try image.makeEmpty(.discard)
        while try !operation.step() {}
      },
      {
        let operation = try image.makeEmpty(.auto)
        while try !operation.step() {}
      },
    ]
    let chosen = all.shuffled(using: &random).prefix(3)
    return chosen + [{ try image.close() }]
  }

  private static func read(_ image: Qcow2Image, _ range: ByteRange) throws {
    var rest = range
    while !rest.isEmpty {
      for run in try image.mappings(in: rest, limit: 16) {
        rest = rest.dropping(run.range.length)
        if run.content == .unallocated { continue }
        var bytes = [UInt8](repeating: 0, count: run.range.length)
        try bytes.withMutableBytes { (target) throws(BlockError) in
          try image.read(into: &target, at: run.range.lower)
        }
      }
    }
  }
}
