import BlockCore
import BlockIO
package import ImageFormats
package import TestSupport

/// The bytes of a valid image, to be made invalid.
///
/// Isolation: value.
package struct HostileImage: Sendable {
  package var bytes: [UInt8]
  /// What a guest sees of the clusters that the image holds itself, by their number.
  package var owned: [Int: [UInt8]] = [:]

  package init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// A small image with data, zeros and holes, a backing name, and 4 KiB clusters unless told
  /// otherwise; one that is not filled holds nothing.
  package init(
    version: Int = 3, clusterSize: Int = 4096, refcountBits: Int = 16, size: Int = 1 << 20,
    isFilled: Bool = true
  ) throws {
    var options = Qcow2CreateOptions(size: size)
    options.version = version
    options.clusterSize = clusterSize
    options.refcountBits = refcountBits
    options.backing = BackingLink(name: "base.raw", format: "raw")
    let storage = MemoryStorage(name: "image")
    try Qcow2Create.create(options, on: storage)
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    var random = SeededGenerator(seed: 5)
    for (first, count) in isFilled ? [(0, 6), (10, 2)] : [] {
      let data = random.bytes(count * clusterSize)
      try data.withBytes { (source) throws(BlockError) in
        try image.write(source, at: first * clusterSize, over: nil)
      }
      for index in 0..<count {
        owned[first + index] = Array(data[index * clusterSize..<(index + 1) * clusterSize])
      }
    }
    for (index, deallocate) in isFilled ? [(2, false), (4, true)] : [] {
      owned[index] = [UInt8](repeating: 0, count: clusterSize)
      try image.writeZeroes(
        ByteRange(at: index * clusterSize, length: clusterSize), deallocate: deallocate, over: nil)
    }
    try image.close()
    bytes = try storage.bytes()
  }

  package func word(at offset: Int) -> UInt64 { bytes.withBytes { $0.bigEndian(at: offset) } }
  /// The 32-bit field at `offset`.
  package func field(at offset: Int) -> Int {
    bytes.withBytes { Int($0.bigEndian(UInt32.self, at: offset)) }
  }

  package mutating func put<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    bytes.withMutableBytes { $0.setBigEndian(value, at: offset) }
  }
  package mutating func put32(_ value: UInt32, at offset: Int) { put(value, at: offset) }
  package mutating func put64(_ value: UInt64, at offset: Int) { put(value, at: offset) }
  package mutating func flip(bit: Int, ofWordAt offset: Int) {
    put64(word(at: offset) ^ (1 << UInt64(bit)), at: offset)
  }

  package var clusterSize: Int { 1 << field(at: 20) }
  package var virtualSize: UInt64 { word(at: 24) }
  package var l1Offset: Int { Int(word(at: 40)) }
  package var refcountTableOffset: Int { Int(word(at: 48)) }
  /// The first L2 table.
  package var l2Offset: Int { Int(word(at: l1Offset) & 0x00ff_ffff_ffff_fe00) }
  /// The first refcount block.
  package var refcountBlockOffset: Int { Int(word(at: refcountTableOffset)) }
  /// Where the data of guest cluster `index` lie.
  package func dataOffset(_ index: Int) -> Int {
    Int(word(at: l2Entry(index)) & 0x00ff_ffff_ffff_fe00)
  }
  /// Where the refcount, 16 bits wide, of the cluster at `offset` lies.
  package func refcount(at offset: Int) -> Int { refcountBlockOffset + 2 * (offset / clusterSize) }
  /// Where the L2 entry of guest cluster `index` lies; inside the first table.
  package func l2Entry(_ index: Int) -> Int { l2Offset + index * 8 }
  /// Where the header ends and its extensions begin.
  package var extensionsOffset: Int { field(at: 4) < 3 ? 72 : field(at: 100) }

  /// The image file.
  package func storage() throws -> MemoryStorage { try MemoryStorage(bytes, name: "image") }
}

// MARK: - Whole structures

extension HostileImage {
  /// The extensions with `list` instead of those that are there, and without a backing name.
  package mutating func replaceExtensions(_ list: [HeaderExtension], endMarker: Bool = true) {
    put64(0, at: 8)
    put32(0, at: 16)
    let start = extensionsOffset
    bytes.zero(ByteRange(from: start, to: clusterSize))
    let encoded = HeaderExtension.encodeAll(list)
    bytes.put(Array(endMarker ? encoded[...] : encoded.dropLast(8)), at: start)
  }

  /// Names `name` as the backing file, with `format` unless that is nil, whatever was there.
  package mutating func setBacking(_ name: [UInt8], format: String?) {
    let type = HeaderExtension.backingFormat
    let list = format.map { [HeaderExtension(type: type, data: Array($0.utf8))] } ?? []
    replaceExtensions(list)
    let place = extensionsOffset + HeaderExtension.encodeAll(list).count
    bytes.put(name, at: place)
    put64(UInt64(place), at: 8)
    put32(UInt32(name.count), at: 16)
  }
  package mutating func setBacking(_ name: String, format: String?) {
    setBacking(Array(name.utf8), format: format)
  }

  /// Puts `content` into new clusters at the end, whose refcounts (16 bits) are 1; returns where.
  package mutating func append(_ content: [UInt8]) -> Int {
    let offset = bytes.count.roundedUp(to: clusterSize)
    let end = (offset + content.count).roundedUp(to: clusterSize)
    bytes += [UInt8](repeating: 0, count: end - bytes.count)
    bytes.put(content, at: offset)
    for cluster in offset / clusterSize..<end / clusterSize {
      put(UInt16(1), at: refcount(at: cluster * clusterSize))
    }
    return offset
  }

  /// Lets all L1 entries name the table of the first.
  package mutating func nameFirstTableEverywhere() {
    let table = word(at: l1Offset)
    let (start, count) = (l1Offset, field(at: 36))
    bytes.withMutableBytes { bytes in
      for index in 0..<count { bytes.setBigEndian(table, at: start + index * 8) }
    }
  }

  /// Makes guest cluster `index` a compressed one of these bytes, which a guest sees as `content`.
  package mutating func compress(
    _ index: Int, as packed: [UInt8], of content: [UInt8]? = nil
  ) {
    owned[index] = content
    let offset = append(packed)
    let shift = 62 - (field(at: 20) - 8)
    let sectors = (packed.count + 511) / 512 - 1
    put64(1 << 62 | UInt64(sectors) << UInt64(shift) | UInt64(offset), at: l2Entry(index))
  }

  /// Adds a snapshot that shares all clusters with the active tables, whose refcounts become 2;
  /// returns where its entry stands.
  package mutating func addSnapshot() -> Int {
    let table = l1Offset
    let copy = append(Array(bytes[table..<table + field(at: 36) * 8]))
    var entry = HostileImage([UInt8](repeating: 0, count: 64))
    entry.put64(UInt64(copy), at: 0)
    entry.put32(UInt32(field(at: 36)), at: 8)
    entry.put(UInt16(1), at: 12)
    entry.put(UInt16(1), at: 14)
    entry.put32(16, at: 36)
    entry.put64(virtualSize, at: 48)
    entry.bytes.put(Array("1s".utf8), at: 56)
    let place = append(entry.bytes)
    put32(1, at: 60)
    put64(UInt64(place), at: 64)
    share(tableAt: table, and: copy)
    return place
  }

  private mutating func share(tableAt table: Int, and copy: Int) {
    for index in 0..<field(at: 36) {
      let l2 = Int(word(at: table + index * 8) & 0x00ff_ffff_ffff_fe00)
      if l2 == 0 { continue }
      for l1 in [table, copy] { put64(UInt64(l2), at: l1 + index * 8) }
      put(UInt16(2), at: refcount(at: l2))
      for entry in stride(from: l2, to: l2 + clusterSize, by: 8) where word(at: entry) >> 62 != 1 {
        let data = Int(word(at: entry) & 0x00ff_ffff_ffff_fe00)
        if data == 0 { continue }
        put64(word(at: entry) & ~(1 << 63), at: entry)
        put(UInt16(2), at: refcount(at: data))
      }
    }
  }

  /// Adds a consistent persistent bitmap without a bit set; returns where its directory stands.
  package mutating func addBitmap() -> Int {
    let table = append([UInt8](repeating: 0, count: 8))
    var entry = HostileImage([UInt8](repeating: 0, count: 32))
    entry.put64(UInt64(table), at: 0)
    entry.put32(1, at: 8)
    entry.put(UInt8(1), at: 16)
    entry.put(UInt8(16), at: 17)
    entry.put(UInt16(2), at: 18)
    entry.bytes.put(Array("b0".utf8), at: 24)
    let place = append(entry.bytes)
    var data = HostileImage([UInt8](repeating: 0, count: 24))
    data.put32(1, at: 0)
    data.put64(32, at: 8)
    data.put64(UInt64(place), at: 16)
    replaceExtensions([HeaderExtension(type: HeaderExtension.bitmaps, data: data.bytes)])
    put64(1, at: 88)
    return place
  }
}
