import BlockCore
import BlockIO
import ImageFormats
import TestSupport
import Testing

/// An operation that every single I/O error is tried on, and the image that it starts from.
struct FaultScenario: Sendable, CustomTestStringConvertible {
  let testDescription: String
  var options: Qcow2CreateOptions
  /// Bytes of a backing file; 0 for none.
  var backingBytes = 0
  /// Whether an internal snapshot is taken after `prepare`, so that all clusters are shared.
  var hasSnapshot = false
  /// What happens before, without errors.
  var prepare: @Sendable (ImageUnderTest) throws -> Void = { _ in }
  /// What is tried.
  var operation: @Sendable (ImageUnderTest) throws -> Void

  init(
    _ name: String, clusterSize: Int, size: Int, refcountBits: Int = 16, version: Int = 3,
    backingBytes: Int = 0, hasSnapshot: Bool = false,
    prepare: @escaping @Sendable (ImageUnderTest) throws -> Void = { _ in },
    operation: @escaping @Sendable (ImageUnderTest) throws -> Void
  ) {
    testDescription = name
    options = Qcow2CreateOptions(size: size)
    options.version = version
    options.clusterSize = clusterSize
    options.refcountBits = refcountBits
    self.backingBytes = backingBytes
    self.hasSnapshot = hasSnapshot
    self.prepare = prepare
    self.operation = operation
  }

  static let all: [FaultScenario] = writes + zeros + growth + emptying + links

  private static func bytes(_ count: Int, _ seed: UInt64 = 1) -> [UInt8] {
    var random = SeededGenerator(seed: seed)
    return random.bytes(count)
  }

  private static let writes = [
    FaultScenario(
      "a write that copies partial clusters from the backing file", clusterSize: 4096,
      size: 200_000, backingBytes: 150_000,
      prepare: { try $0.write(bytes(9000, 2), at: 30_000) },
      operation: { try $0.write(bytes(30_001), at: 20_001) }),
    FaultScenario(
      "a write over several L2 tables", clusterSize: 512, size: 300_032,
      prepare: {
        try $0.write(bytes(700, 2), at: 32_700)
        try $0.writeZeroes(ByteRange(at: 65_536, length: 2048), deallocate: false)
      }, operation: { try $0.write(bytes(40_000), at: 30_000) }),
    FaultScenario(
      "a write over two slices of one L2 table", clusterSize: 8192, size: 9 << 20,
      prepare: { try $0.write(bytes(20_000, 2), at: 4 << 20) },
      operation: { try $0.write(bytes(40_000), at: 4 << 20 - 20_000) }),
    FaultScenario(
      "a write into tables and clusters that a snapshot shares", clusterSize: 4096, size: 5 << 20,
      hasSnapshot: true, prepare: { try $0.write(bytes(40_000, 2), at: 2 << 20 - 20_000) },
      operation: { try $0.write(bytes(20_001), at: 2 << 20 - 10_000) }),
    FaultScenario(
      "a write of pieces that lie apart, in clusters that are there and in new ones",
      clusterSize: 512, size: 300_032, backingBytes: 150_000,
      prepare: {
        try $0.write(bytes(2000, 2), at: 40_000)
        try $0.dropClusters(ByteRange(at: 40_448, length: 512))
      },
      operation: {
        try $0.write(
          bytes(6144, 3),
          apart: [
            ByteRange(at: 1024, length: 1024), ByteRange(at: 40_448, length: 1024),
            ByteRange(at: 98_304, length: 1536), ByteRange(at: 131_172, length: 1024),
            ByteRange(at: 262_144, length: 1536),
          ])
      }),
    FaultScenario(
      "a flush of new tables, changed entries and freed clusters", clusterSize: 512,
      size: 300_032, backingBytes: 200_000,
      prepare: { try $0.write(bytes(60_000, 2), at: 0) },
      operation: {
        try $0.write(bytes(3000), at: 100_000)
        try $0.writeZeroes(ByteRange(at: 1000, length: 20_000), deallocate: true)
        try $0.dropClusters(ByteRange(at: 30_720, length: 10_240))
        try $0.image.flush()
        try $0.write(bytes(20_000, 3), at: 150_000)
      }),
  ]

  private static let zeros = [
    FaultScenario(
      "writing zeros with partial clusters at both ends", clusterSize: 512, size: 100_000,
      backingBytes: 100_000, prepare: { try $0.write(bytes(20_000, 2), at: 40_000) },
      operation: { try $0.writeZeroes(ByteRange(at: 30_001, length: 40_000), deallocate: true) }),
    FaultScenario(
      "writing zeros that keep their clusters", clusterSize: 4096, size: 200_000,
      prepare: { try $0.write(bytes(50_000, 2), at: 10_000) },
      operation: { try $0.writeZeroes(ByteRange(at: 9_001, length: 60_000), deallocate: false) }),
    FaultScenario(
      "writing zeros into version 2 over a backing file", clusterSize: 4096, size: 100_000,
      version: 2, backingBytes: 100_000, prepare: { try $0.write(bytes(20_000, 2), at: 40_000) },
      operation: { try $0.writeZeroes(ByteRange(at: 30_001, length: 40_000), deallocate: true) }),
    FaultScenario(
      "a discard", clusterSize: 512, size: 300_032, backingBytes: 200_000,
      prepare: { try $0.write(bytes(100_000, 2), at: 10_000) },
      operation: { try $0.dropClusters(ByteRange(at: 20_000, length: 70_000)) }),
  ]

  private static let growth = [
    FaultScenario(
      "an allocation that moves the refcount table", clusterSize: 512, size: 3 << 20,
      refcountBits: 64, prepare: { try $0.write(bytes(2_000_000, 2), at: 0) },
      operation: { try $0.write(bytes(60_000), at: 2_400_000) }),
    FaultScenario(
      "an allocation of a new refcount block", clusterSize: 512, size: 1 << 20, refcountBits: 32,
      prepare: { try $0.write(bytes(55_000, 2), at: 0) },
      operation: { try $0.write(bytes(30_000), at: 100_000) }),
    FaultScenario(
      "a resize that moves the L1 table", clusterSize: 512, size: 1_000_001,
      backingBytes: 1_100_000, prepare: { try $0.write(bytes(3000, 2), at: 999_000 - 2000) },
      operation: {
        try $0.resize(to: 3_000_000)
        try $0.write(bytes(3000), at: 2_900_000)
      }),
  ]

  private static let emptying = [
    FaultScenario(
      "emptying by reset", clusterSize: 512, size: 3 << 20, backingBytes: 100_000,
      prepare: { try $0.write(bytes(50_000, 2), at: 60_000) },
      operation: { try $0.makeEmpty(.reset) }),
    FaultScenario(
      "emptying by reset, version 2, after the L1 table moved", clusterSize: 4096,
      size: 300_000, version: 2,
      prepare: {
        try $0.write(bytes(50_000, 2), at: 60_000)
        try $0.resize(to: 3 << 20)
        try $0.write(bytes(50_000, 3), at: 300_000)
      }, operation: { try $0.makeEmpty(.reset) }),
    FaultScenario(
      "emptying by discard", clusterSize: 512, size: 300_032, backingBytes: 200_000,
      prepare: { try $0.write(bytes(100_000, 2), at: 10_000) },
      operation: { try $0.makeEmpty(.discard) }),
    FaultScenario(
      "emptying by discard, with L2 tables of several slices", clusterSize: 16_384,
      size: 40 << 20,
      prepare: {
        try $0.write(bytes(40_000, 2), at: 0)
        try $0.write(bytes(40_000, 3), at: 16 << 20)
      }, operation: { try $0.makeEmpty(.discard) }),
  ]

  private static let links = [
    FaultScenario(
      "another backing name", clusterSize: 4096, size: 100_000,
      prepare: { try $0.write(bytes(5000, 2), at: 0) },
      operation: {
        let name = String(repeating: "./", count: 300) + "below.raw"
        try $0.image.setBackingLink(BackingLink(name: name, format: "raw"))
      })
  ]
}
