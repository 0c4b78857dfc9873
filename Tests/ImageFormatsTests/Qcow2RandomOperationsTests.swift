import BlockCore
import ImageFormats
import TestSupport
import Testing

/// Random operations on small images of every geometry, against a plain array and `qemu-img`.
@Suite("qcow2 under random operations")
struct Qcow2RandomOperationsTests {
  struct Geometry: CustomTestStringConvertible, Sendable {
    var version = 3
    var clusterSize: Int
    var refcountBits = 16
    var size: Int
    var hasBacking: Bool
    var testDescription: String {
      "v\(version), \(clusterSize) B clusters, \(refcountBits)-bit refcounts, \(size) B, "
        + (hasBacking ? "over a backing file" : "alone")
    }
  }

  static let geometries: [Geometry] =
    [1, 2, 4, 8, 16, 32, 64].map {
      Geometry(clusterSize: 512, refcountBits: $0, size: 300_032, hasBacking: $0 % 3 == 1)
    } + [
      Geometry(version: 2, clusterSize: 512, size: 262_144, hasBacking: false),
      Geometry(version: 2, clusterSize: 4096, size: 1_000_000, hasBacking: true),
      Geometry(clusterSize: 4096, size: 1_000_448, hasBacking: true),
      Geometry(clusterSize: 65536, size: 3_000_320, hasBacking: false),
      Geometry(clusterSize: 65536, refcountBits: 1, size: 3_000_000, hasBacking: true),
      Geometry(clusterSize: 2 << 20, size: 9_000_000, hasBacking: true),
    ]

  @Test(
    "the guest's view stays the model's, and qemu-img finds the image clean",
    arguments: geometries)
  func matchesModel(geometry: Geometry) throws {
    let directory = try TemporaryDirectory()
    var random = SeededGenerator(seed: UInt64(geometry.clusterSize * 100 + geometry.refcountBits))
    var options = Qcow2CreateOptions(size: geometry.size)
    options.version = geometry.version
    options.clusterSize = geometry.clusterSize
    options.refcountBits = geometry.refcountBits
    let backing = geometry.hasBacking ? random.bytes(geometry.size * 2 / 3) : nil
    let test = try ImageUnderTest(options, backing: backing)
    for round in 0..<6 {
      for _ in 0..<25 { try step(test, &random) }
      #expect(try test.view().isSame(as: test.model), "round \(round)")
      try test.judge(directory)
      if round == 2 { try test.reopen() }
      if round == 3 {
        try test.makeEmpty(.reset)
        #expect(try test.view().isSame(as: test.model), "after reset")
        try test.judge(directory)
      }
      if round == 4 {
        try test.makeEmpty(.discard)
        #expect(try test.view().isSame(as: test.model), "after discard")
        try test.judge(directory)
      }
    }
  }

  private func step(_ test: ImageUnderTest, _ random: inout SeededGenerator) throws {
    let size = test.model.count
    let offset = Int.random(in: 0..<size, using: &random)
    let longest = min(size - offset, 5 * test.image.clusterSize, 200_000)
    let length = Int.random(in: 1...longest, using: &random)
    let range = ByteRange(at: offset, length: length)
    switch Int.random(in: 0..<20, using: &random) {
    case 0..<8: try test.write(random.bytes(length), at: offset)
    case 8..<11: try writeApart(test, range, &random)
    case 11..<14: try test.writeZeroes(range, deallocate: true)
    case 14..<16: try test.writeZeroes(range, deallocate: false)
    case 16..<18: try test.dropClusters(range)
    case 18: try test.image.flush()
    default:
      // QEMU rounds a disk's length down to sectors, so an image for it to compare has whole ones.
      let unit = test.backing == nil ? 512 : 1
      try test.resize(to: size + unit * Int.random(in: 1...100_000 / unit, using: &random))
    }
  }

  /// Writes some of the clusters of `range`, with zeros among the bytes, and in any order.
  private func writeApart(
    _ test: ImageUnderTest, _ range: ByteRange, _ random: inout SeededGenerator
  ) throws {
    let cluster = test.image.clusterSize
    var pieces: [ByteRange] = []
    var lower = range.lower
    while lower < range.upper {
      let end = min(range.upper, (lower + 1).roundedUp(to: cluster))
      if Bool.random(using: &random) { pieces.append(ByteRange(from: lower, to: end)) }
      lower = end
    }
    if Bool.random(using: &random) { pieces.shuffle(using: &random) }
    var bytes = random.bytes(pieces.reduce(0) { $0 + $1.length })
    if bytes.count > 3 {
      bytes.zero(ByteRange(from: bytes.count / 3, to: bytes.count / 3 * 2))
    }
    try test.write(bytes, apart: pieces)
  }
}
