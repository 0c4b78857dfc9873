import BlockCore
import BlockIO
import ImageFormats
import TestSupport

/// The bytes of a valid image, to be made invalid.
struct HostileImage {
  var bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// A small image with data, zeros and holes, a backing name, and 4 KiB clusters unless told
  /// otherwise.
  init(version: Int = 3, clusterSize: Int = 4096, refcountBits: Int = 16, size: Int = 1 << 20)
    throws
  {
    var options = Qcow2CreateOptions(size: size)
    options.version = version
    options.clusterSize = clusterSize
    options.refcountBits = refcountBits
    options.backing = BackingLink(name: "base.raw", format: "raw")
    let test = try ImageUnderTest(options)
    var random = SeededGenerator(seed: 5)
    try test.write(random.bytes(6 * clusterSize), at: 0)
    try test.write(random.bytes(2 * clusterSize), at: 10 * clusterSize)
    try test.writeZeroes(
      ByteRange(at: 2 * clusterSize, length: clusterSize), deallocate: false)
    try test.writeZeroes(ByteRange(at: 4 * clusterSize, length: clusterSize), deallocate: true)
    try test.image.close()
    bytes = try test.storage.bytes()
  }

  func word(at offset: Int) -> UInt64 { bytes.withBytes { $0.bigEndian(at: offset) } }

  mutating func put<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    bytes.withMutableBytes { $0.setBigEndian(value, at: offset) }
  }
  mutating func put32(_ value: UInt32, at offset: Int) { put(value, at: offset) }
  mutating func put64(_ value: UInt64, at offset: Int) { put(value, at: offset) }
  mutating func flip(bit: Int, ofWordAt offset: Int) {
    put64(word(at: offset) ^ (1 << UInt64(bit)), at: offset)
  }

  var clusterSize: Int { 1 << Int(bytes.withBytes { $0.bigEndian(UInt32.self, at: 20) }) }
  var l1Offset: Int { Int(word(at: 40)) }
  var refcountTableOffset: Int { Int(word(at: 48)) }
  /// The first L2 table.
  var l2Offset: Int { Int(word(at: l1Offset) & 0x00ff_ffff_ffff_fe00) }
  /// The first refcount block.
  var refcountBlockOffset: Int { Int(word(at: refcountTableOffset)) }
  /// Where the L2 entry of guest cluster `index` lies; inside the first table.
  func l2Entry(_ index: Int) -> Int { l2Offset + index * 8 }

  /// The extensions with `list` instead of those that are there, and without a backing name.
  mutating func replaceExtensions(_ list: [HeaderExtension], endMarker: Bool = true) {
    put64(0, at: 8)
    put32(0, at: 16)
    let start = Int(bytes.withBytes { $0.bigEndian(UInt32.self, at: 100) })
    bytes.zero(ByteRange(from: start, to: clusterSize))
    let encoded = HeaderExtension.encodeAll(list)
    bytes.put(Array(endMarker ? encoded[...] : encoded.dropLast(8)), at: start)
  }

  /// The image file.
  func storage() throws -> MemoryStorage { try MemoryStorage(bytes, name: "image") }
}
