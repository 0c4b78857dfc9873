import BlockCore

/// Reads the snapshot table of a qcow2 file, and the tables that it names.
///
/// Isolation: value.
struct SnapshotReader {
  /// An entry of the snapshot table.
  struct Entry: Hashable, Sendable {
    /// Where the L1 table lies.
    var l1: Int
    /// How many entries that has.
    var l1Entries: Int
    /// All of the entry that does not say where something lies: id and name, and the disk's length.
    var facts: [UInt8]
    /// Its id, for people.
    var id: String
  }

  /// What a snapshot's tables map, and where they lie.
  struct Tree: Hashable, Sendable {
    /// Its L1 table and its L2 tables.
    var tables: [ByteRange] = []
    /// In the order of its disk, without holes.
    var clusters: [Cluster] = []
  }

  /// A cluster of a snapshot's disk.
  struct Cluster: Hashable, Sendable {
    /// Its number on the disk.
    var guest: Int
    var content: Content
  }

  /// What an L2 entry means. Whether it has the COPIED flag means nothing in a snapshot.
  enum Content: Hashable, Sendable {
    /// Zeros, whatever cluster is reserved for them.
    case zero
    case data(ByteRange)
    /// The sectors in which the compressed bytes lie.
    case compressed(ByteRange)

    /// Where its bytes lie.
    var place: ByteRange? {
      switch self {
      case .zero: nil
      case .data(let range), .compressed(let range): range
      }
    }
  }

  let image: CrashImage
  private(set) var entries: [Entry] = []
  /// The header and the snapshot table.
  private(set) var tables = [ByteRange(at: 0, length: 512)]
  private let clusterBits: Int
  private let hasZeroFlag: Bool

  private static let offsetMask: UInt64 = 0x00ff_ffff_ffff_fe00

  /// Reads the snapshot table; nil where there is no such table.
  init?(_ image: CrashImage) {
    self.image = image
    clusterBits = Int(image.number(at: 20, width: 4))
    hasZeroFlag = image.number(at: 4, width: 4) >= 3
    guard image.isQcow2, (9...21).contains(clusterBits),
      let start = SnapshotReader.place(image.number(at: 64, width: 8), in: image)
    else { return nil }
    var position = start
    for _ in 0..<image.number(at: 60, width: 4) {
      guard position + 40 <= image.size else { return nil }
      let fixed = image.bytes(in: ByteRange(at: position, length: 40))
      let (l1, l1Entries, idLength, nameLength, extra) = fixed.withBytes { span in
        (
          span.bigEndian(UInt64.self, at: 0), Int(span.bigEndian(UInt32.self, at: 8)),
          Int(span.bigEndian(UInt16.self, at: 12)), Int(span.bigEndian(UInt16.self, at: 14)),
          Int(span.bigEndian(UInt32.self, at: 36))
        )
      }
      let end = position + 40 + extra + idLength + nameLength
      guard let l1 = SnapshotReader.place(l1, in: image), end <= image.size else { return nil }
      let facts = image.bytes(in: ByteRange(from: position + 8, to: end))
      let id = String(decoding: facts.suffix(idLength + nameLength).prefix(idLength), as: UTF8.self)
      entries.append(Entry(l1: l1, l1Entries: l1Entries, facts: facts, id: id))
      position = end.roundedUp(to: 8)
    }
    tables.append(ByteRange(from: start, to: position))
  }

  /// What the tables of `entry` map.
  func tree(of entry: Entry) -> Tree {
    var tree = Tree()
    tree.tables = [ByteRange(at: entry.l1, length: entry.l1Entries * 8)]
    let perTable = (1 << clusterBits) / 8
    for index in 0..<entry.l1Entries {
      let word = image.number(at: entry.l1 + index * 8, width: 8)
      let table = Int(word & SnapshotReader.offsetMask)
      if table == 0 { continue }
      tree.tables.append(ByteRange(at: table, length: 1 << clusterBits))
      for slot in 0..<perTable {
        let word = image.number(at: table + slot * 8, width: 8)
        guard let content = content(word) else { continue }
        tree.clusters.append(Cluster(guest: index * perTable + slot, content: content))
      }
    }
    return tree
  }

  /// What an L2 entry means; nil for a hole.
  private func content(_ word: UInt64) -> Content? {
    if word & 1 << 62 != 0 {
      let bits = UInt64(62 - (clusterBits - 8))
      let offset = Int(word & (1 << bits - 1))
      let sectors = Int((word & (1 << 62 - 1)) >> bits) + 1
      return .compressed(
        ByteRange(from: offset, to: offset.roundedDown(to: 512) + sectors * 512))
    }
    if hasZeroFlag, word & 1 != 0 { return .zero }
    let offset = Int(word & SnapshotReader.offsetMask)
    return offset == 0 ? nil : .data(ByteRange(at: offset, length: 1 << clusterBits))
  }

  /// Where a table lies; nil for a place where none can be.
  private static func place(_ word: UInt64, in image: CrashImage) -> Int? {
    word % 512 == 0 && word < UInt64(image.size) ? Int(word) : nil
  }
}

extension CrashImage {
  /// The bytes of `range`, zeros past the end.
  func bytes(in range: ByteRange) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: range.length)
    bytes.withMutableBytes { _ = read(into: &$0, at: range.lower) }
    return bytes
  }
}
