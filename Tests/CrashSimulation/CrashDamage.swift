import BlockCore
import TestSupport

/// An image whose refcounts are made wrong, byte by byte: what is left of a program that did not
/// come to its end, or had a defect.
///
/// Isolation: value.
struct CrashDamage {
  private(set) var image: CrashImage
  private let clusterBits: Int
  private let refcountOrder: Int
  private let isVersion3: Bool

  private static let copied: UInt64 = 1 << 63
  private static let compressed: UInt64 = 1 << 62
  /// The feature bit (autoclear) of bitmaps.
  private static let bitmaps: UInt64 = 1
  private static let offsetMask: UInt64 = 0x00ff_ffff_ffff_fe00

  /// A sound image.
  init(_ image: CrashImage) {
    self.image = image
    clusterBits = Int(image.number(at: 20, width: 4))
    isVersion3 = image.number(at: 4, width: 4) >= 3
    refcountOrder = isVersion3 ? Int(image.number(at: 96, width: 4)) : 4
  }

  private var clusterSize: Int { 1 << clusterBits }

  /// Clusters that count once too often, without the COPIED flag where they are used; some that
  /// nobody uses; and bitmaps that do not count any more. Bits that nobody here knows stay.
  mutating func leak() {
    if refcountOrder > 0 {
      for (index, place) in entries().enumerated() where index % 2 == 0 {
        let entry = image.number(at: place, width: 8)
        setRefcount(of: cluster(entry), to: 2)
        set(entry & ~CrashDamage.copied, at: place)
      }
    }
    let end = image.size.dividedRoundingUp(by: clusterSize)
    for cluster in end..<end + 2 where hasRefcount(cluster) {
      setRefcount(of: cluster, to: 1)
      image.truncate(to: (cluster + 1) << clusterBits)
    }
    if isVersion3 {
      set(image.number(at: 88, width: 8) & ~CrashDamage.bitmaps, at: 88)
    }
  }

  /// Refcounts that were never raised, beside some that count too much.
  mutating func forget() {
    leak()
    for (index, place) in entries().enumerated() where index % 2 == 0 {
      setRefcount(of: cluster(image.number(at: place, width: 8)), to: 0)
    }
  }

  /// An entry for zeros with a cluster that cannot be one, behind the disk's end, where no guest
  /// meets it; all else is sound. Clusters of 512 bytes have no such entry.
  mutating func misalignZero() {
    guard let table = tables().last else { return }
    // Bit 0 says zeros.
    set(512 | 1, at: table + clusterSize - 8)
  }

  /// Clusters that a snapshot shares count as used once.
  mutating func lower() {
    let places = tables().flatMap { Array(stride(from: $0, to: $0 + clusterSize, by: 8)) }
    let flags = CrashDamage.copied | CrashDamage.compressed
    let shared = places.map { image.number(at: $0, width: 8) }
      .filter { $0 & flags == 0 && $0 & CrashDamage.offsetMask != 0 }
    for (index, entry) in shared.enumerated() where index % 2 == 0 {
      setRefcount(of: cluster(entry), to: 1)
    }
  }

  /// Has the header say that refcounts may be wrong, where it can.
  mutating func mark(_ bit: UInt64) {
    if isVersion3 { set(image.number(at: 72, width: 8) | bit, at: 72) }
  }
  /// Bits for `mark`.
  static let dirty: UInt64 = 1
  static let corrupt: UInt64 = 2

  /// A table in use counts as free.
  mutating func freeTable() {
    let l1 = Int(image.number(at: 40, width: 8))
    for index in 0..<Int(image.number(at: 36, width: 4)) {
      let entry = image.number(at: l1 + index * 8, width: 8)
      if entry != 0 { return setRefcount(of: cluster(entry), to: 0) }
    }
  }

  /// All clusters that the refcount table can count are taken, but for the last `left`; by nobody,
  /// and the file has holes there. The table will have to be longer soon.
  mutating func crowd(leaving left: Int) {
    let (end, all) = (
      image.size.dividedRoundingUp(by: clusterSize), tableEntries * refcountsPerBlock
    )
    let last = all - left
    for index in 0..<tableEntries {
      let first = index * refcountsPerBlock
      if block(for: first) == 0 {
        precondition(first >= end, "what is in use is counted")
        // The block counts itself.
        set(UInt64(first << clusterBits), at: tableOffset + index * 8)
      }
      raiseRefcounts(of: max(first, end)..<min(first + refcountsPerBlock, last))
    }
    image.truncate(to: last << clusterBits)
  }

  /// The places of L2 entries that name clusters of this image alone.
  private func entries() -> [Int] {
    let l1 = Int(image.number(at: 40, width: 8))
    let tables = (0..<Int(image.number(at: 36, width: 4)))
      .map { image.number(at: l1 + $0 * 8, width: 8) }
      .filter { $0 & CrashDamage.copied != 0 }
    let places = tables.flatMap { entry in
      stride(from: cluster(entry) << clusterBits, to: (cluster(entry) + 1) << clusterBits, by: 8)
    }
    return places.filter {
      image.number(at: $0, width: 8) & (CrashDamage.copied | CrashDamage.compressed)
        == CrashDamage.copied
    }
  }

  /// Where the L2 tables lie.
  private func tables() -> [Int] {
    let l1 = Int(image.number(at: 40, width: 8))
    return (0..<Int(image.number(at: 36, width: 4)))
      .map { cluster(image.number(at: l1 + $0 * 8, width: 8)) << clusterBits }
      .filter { $0 != 0 }
  }

  private func cluster(_ entry: UInt64) -> Int {
    Int(entry & CrashDamage.offsetMask) >> clusterBits
  }

  private mutating func set(_ word: UInt64, at offset: Int) {
    var bytes = [UInt8](repeating: 0, count: 8)
    bytes.withMutableBytes { $0.setBigEndian(word, at: 0) }
    image.write(bytes[...], at: offset)
  }

  // MARK: Refcounts

  private var refcountsPerBlock: Int { (8 << clusterBits) >> refcountOrder }
  private var tableOffset: Int { Int(image.number(at: 48, width: 8)) }
  private var tableEntries: Int { Int(image.number(at: 56, width: 4)) << clusterBits / 8 }

  /// Where the block lies that counts `cluster`; 0 where there is none.
  private func block(for cluster: Int) -> Int {
    let index = cluster / refcountsPerBlock
    guard index < tableEntries else { return 0 }
    return Int(image.number(at: tableOffset + index * 8, width: 8))
  }

  private func hasRefcount(_ cluster: Int) -> Bool { block(for: cluster) != 0 }

  private mutating func setRefcount(of cluster: Int, to count: UInt64) {
    let (bits, index) = (1 << refcountOrder, cluster % refcountsPerBlock)
    let place = block(for: cluster)
    if bits >= 8 {
      var bytes = [UInt8](repeating: 0, count: bits / 8)
      bytes[bits / 8 - 1] = UInt8(count)
      return image.write(bytes[...], at: place + index * bits / 8)
    }
    let (offset, shift) = (place + index * bits / 8, index * bits % 8)
    let others = image[offset] & ~(((1 << UInt8(bits)) - 1) << UInt8(shift))
    image.write([others | UInt8(count) << UInt8(shift)], at: offset)
  }

  /// Counts free clusters of one block as used, all of its bytes at once.
  private mutating func raiseRefcounts(of clusters: Range<Int>) {
    guard let first = clusters.first else { return }
    let (bits, place) = (1 << refcountOrder, block(for: first))
    var bytes = [UInt8](repeating: 0, count: clusterSize)
    bytes.withMutableBytes { _ = image.read(into: &$0, at: place) }
    for cluster in clusters {
      let bit = cluster % refcountsPerBlock * bits
      // The lowest bit of a number is in its last byte.
      bytes[bit / 8 + max(bits / 8, 1) - 1] |= 1 << UInt8(bit % 8)
    }
    image.write(bytes[...], at: place)
  }
}
