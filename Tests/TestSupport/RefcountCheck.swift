import BlockCore

/// A check of a qcow2 file's refcounts, COPIED flags and offsets, as small as it can be and without
/// a line of the engine: what is counted, against what the refcount blocks say.
///
/// It judges as `qemu-img check` does: too low a count or a wrong flag is an error, too high a
/// count a leak.
///
/// Isolation: value.
package struct RefcountCheck: Sendable {
  /// What is wrong, in words; empty for a sound image.
  package private(set) var errors: [String] = []
  /// Clusters that count as used more often than they are.
  package private(set) var leaks = 0
  /// How many of the errors are COPIED flags that are missing: whoever writes there copies first,
  /// and harms nobody.
  package private(set) var missingFlags = 0
  /// How many of the errors are COPIED flags on clusters that count as shared: whoever writes there
  /// changes what others rely on.
  package private(set) var excessFlags = 0
  /// Whether the header says that refcounts may be wrong: the dirty or the corrupt bit.
  package private(set) var isMarked = false
  /// Whether the header has the corrupt bit.
  package private(set) var isMarkedCorrupt = false
  /// The errors without missing flags and the header's mark.
  package var harmfulErrors: Int { errors.count - missingFlags - (isMarked ? 1 : 0) }

  private let image: CrashImage
  private let clusterBits: Int
  private var refcountOrder = 4
  private var table: [UInt64] = []
  private var references: [UInt64]

  private static let offsetMask: UInt64 = 0x00ff_ffff_ffff_fe00
  private static let copied: UInt64 = 1 << 63

  /// Checks this file.
  package init(_ image: CrashImage) {
    self.image = image
    let isImage = image.size >= 104 && image.number(at: 0, width: 4) == 0x5146_49fb
    clusterBits = isImage ? Int(image.number(at: 20, width: 4)) : 0
    references = []
    guard isImage, (9...21).contains(clusterBits) else {
      errors.append("no qcow2 header")
      return
    }
    references = [UInt64](
      repeating: 0, count: image.size.dividedRoundingUp(by: 1 << clusterBits))
    let isVersion3 = word32(4) >= 3
    if isVersion3 {
      refcountOrder = Int(min(6, word32(96)))
      isMarked = word(72) & 3 != 0
      isMarkedCorrupt = word(72) & 2 != 0
      if isMarked { errors.append("dirty or corrupt bit") }
    }
    readTable()
    countAll()
    if isVersion3 || word32(4) == 2 { countBitmaps(from: isVersion3 ? Int(word32(100)) : 72) }
    compare()
  }

  // MARK: What is referenced

  private mutating func readTable() {
    let (offset, clusters) = (place(word(48)), Int(word32(56)))
    let count = (clusters << clusterBits) / 8
    table = words(at: offset, count: count, "refcount table")
    reference(offset, bytes: clusters << clusterBits, "refcount table")
    for entry in table where entry != 0 {
      reference(place(entry & ~511), bytes: 1 << clusterBits, "refcount block")
    }
  }

  private mutating func countAll() {
    reference(0, bytes: 1, "header")
    countTree(l1: place(word(40)), entries: Int(word32(36)), isActive: true)
    var position = place(word(64))
    let start = position
    for _ in 0..<Int(word32(60)) {
      guard position + 40 <= image.size else {
        return errors.append("snapshot table past the end")
      }
      countTree(l1: place(word(position)), entries: Int(word32(position + 8)), isActive: false)
      let lengths = word32(position + 12)
      let extra = Int(word32(position + 36))
      position += (40 + extra + Int(lengths >> 16) + Int(lengths & 0xffff)).roundedUp(to: 8)
    }
    if position > start { reference(start, bytes: position - start, "snapshot table") }
  }

  private mutating func countTree(l1 offset: Int, entries: Int, isActive: Bool) {
    guard entries > 0 else { return }
    reference(offset, bytes: entries * 8, "L1 table")
    for (index, entry) in words(at: offset, count: entries, "L1 table").enumerated()
    where entry != 0 {
      let table = Int(entry & RefcountCheck.offsetMask)
      reference(table, bytes: 1 << clusterBits, "L2 table of L1 entry \(index)")
      if isActive { checkFlag(entry, table, "L1 entry \(index)") }
      for entry in words(at: table, count: (1 << clusterBits) / 8, "L2 table") where entry != 0 {
        countCluster(entry, isActive: isActive)
      }
    }
  }

  private mutating func countCluster(_ entry: UInt64, isActive: Bool) {
    if entry & 1 << 62 != 0 {
      let bits = UInt64(62 - (clusterBits - 8))
      let offset = Int(entry & (1 << bits - 1))
      let sectors = Int((entry & (1 << 62 - 1)) >> bits) + 1
      let first = offset >> clusterBits
      let last = ((offset & ~511) + sectors * 512 - 1) >> clusterBits
      for cluster in first...last { add(cluster, "compressed cluster") }
      return
    }
    let offset = Int(entry & RefcountCheck.offsetMask)
    guard offset != 0 else { return }
    reference(offset, bytes: 1 << clusterBits, "data cluster")
    if isActive { checkFlag(entry, offset, "L2 entry") }
  }

  private mutating func countBitmaps(from start: Int) {
    var position = start
    while position + 8 <= image.size, word32(position) != 0 {
      let length = Int(word32(position + 4))
      if word32(position) == 0x2385_2875 {
        countDirectory(
          at: place(word(position + 24)), bytes: place(word(position + 16)),
          count: Int(word32(position + 8)))
      }
      position += 8 + length.roundedUp(to: 8)
    }
  }

  private mutating func countDirectory(at start: Int, bytes length: Int, count: Int) {
    reference(start, bytes: length, "bitmap directory")
    var position = start
    for _ in 0..<count where position + 24 <= image.size {
      let (table, entries) = (place(word(position)), Int(word32(position + 8)))
      reference(table, bytes: entries * 8, "bitmap table")
      for entry in words(at: table, count: entries, "bitmap table") where entry > 1 {
        reference(
          Int(entry & RefcountCheck.offsetMask), bytes: 1 << clusterBits, "bitmap data")
      }
      let nameLength = Int(word32(position + 16) & 0xffff)
      position += (24 + nameLength + Int(word32(position + 20))).roundedUp(to: 8)
    }
  }

  private mutating func reference(_ offset: Int, bytes length: Int, _ what: String) {
    guard offset & (1 << clusterBits - 1) == 0 else {
      return errors.append("\(what) at \(offset) is not aligned")
    }
    guard offset < image.size, length <= 64 << 20 else {
      return errors.append("\(what) at \(offset) lies past the end")
    }
    for cluster in offset >> clusterBits...(offset + max(1, length) - 1) >> clusterBits {
      add(cluster, what)
    }
  }

  private mutating func add(_ cluster: Int, _ what: String) {
    guard cluster < references.count else { return }
    references[cluster] += 1
    if refcount(of: cluster) == 0 {
      errors.append("\(what) in cluster \(cluster), whose refcount is 0")
    }
  }

  private mutating func checkFlag(_ entry: UInt64, _ offset: Int, _ what: String) {
    let count = refcount(of: offset >> clusterBits)
    let isCopied = entry & RefcountCheck.copied != 0
    if isCopied != (count == 1) {
      if !isCopied { missingFlags += 1 }
      if isCopied, count > 1 { excessFlags += 1 }
      errors.append("COPIED flag of \(what), cluster \(offset >> clusterBits), refcount \(count)")
    }
  }

  // MARK: What is counted

  private func refcount(of cluster: Int) -> UInt64 {
    let perBlock = (8 << clusterBits) >> refcountOrder
    guard cluster / perBlock < table.count else { return 0 }
    let block = place(table[cluster / perBlock] & ~511)
    guard block != 0, block < image.size else { return 0 }
    let index = cluster % perBlock
    if refcountOrder < 3 {
      let perByte = 8 >> refcountOrder
      let offset = block + index / perByte
      guard offset < image.size else { return 0 }
      let shifted = image[offset] >> UInt8((index % perByte) << refcountOrder)
      return UInt64(shifted) & (1 << UInt64(1 << refcountOrder) - 1)
    }
    let width = 1 << (refcountOrder - 3)
    let offset = block + index * width
    guard offset + width <= image.size else { return 0 }
    return image.number(at: offset, width: width)
  }

  private mutating func compare() {
    let perBlock = (8 << clusterBits) >> refcountOrder
    for first in stride(from: 0, to: references.count, by: perBlock) {
      let block = block(first / perBlock)
      for cluster in first..<min(first + perBlock, references.count) {
        compare(cluster, block.isEmpty ? 0 : count(cluster - first, in: block))
      }
    }
  }

  private mutating func compare(_ cluster: Int, _ count: UInt64) {
    let references = references[cluster]
    if count == references { return }
    if count < references {
      errors.append("cluster \(cluster): refcount \(count), \(references) references")
    } else {
      leaks += 1
    }
  }

  /// The bytes of a whole refcount block; none where there is no such block.
  private func block(_ index: Int) -> [UInt8] {
    guard index < table.count else { return [] }
    let offset = place(table[index] & ~511)
    guard offset != 0, offset < image.size else { return [] }
    var bytes = [UInt8](repeating: 0, count: 1 << clusterBits)
    bytes.withMutableBytes { _ = image.read(into: &$0, at: offset) }
    return bytes
  }

  private func count(_ index: Int, in block: [UInt8]) -> UInt64 {
    if refcountOrder < 3 {
      let perByte = 8 >> refcountOrder
      let shifted = block[index / perByte] >> UInt8((index % perByte) << refcountOrder)
      return UInt64(shifted) & (1 << UInt64(1 << refcountOrder) - 1)
    }
    let width = 1 << (refcountOrder - 3)
    return block[index * width..<(index + 1) * width].reduce(0) { $0 << 8 | UInt64($1) }
  }

  // MARK: Bytes

  private func word(_ offset: Int) -> UInt64 { image.number(at: offset, width: 8) }
  /// An offset, or one past the end of every file where it is garbage.
  private func place(_ word: UInt64) -> Int { Int(min(word, 1 << 60)) }
  private func word32(_ offset: Int) -> UInt32 {
    UInt32(image.number(at: offset, width: 4))
  }

  /// Words of a table; what lies past the end of the file is an error, and zero.
  private mutating func words(at offset: Int, count: Int, _ what: String) -> [UInt64] {
    guard offset >= 0, count <= 8 << 20, offset + count * 8 <= image.size else {
      errors.append("\(what) at \(offset) lies past the end")
      return []
    }
    var bytes = [UInt8](repeating: 0, count: count * 8)
    return bytes.withMutableBytes { span in
      _ = image.read(into: &span, at: offset)
      return (0..<count).map { span.bigEndian(at: $0 * 8) }
    }
  }
}
