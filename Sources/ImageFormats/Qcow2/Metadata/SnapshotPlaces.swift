import BlockCore
import BlockIO

/// Where the snapshot table and the snapshots' L1 tables lie, so that nothing else is put there.
///
/// The table is read once, when the image is opened for writing: nobody changes it meanwhile. An
/// entry that cannot be told from the next, or an L1 table that cannot be one, ends nothing but
/// that snapshot's use, and is not looked out for.
///
/// Isolation: value.
struct SnapshotPlaces {
  /// The snapshot table, as far as its entries can be told apart.
  private(set) var table = ByteRange(at: 0, length: 0)
  /// The L1 tables in the order of the file; those that touch each other are one.
  private(set) var l1Tables: [ByteRange] = []
  /// Where the L1 tables of two snapshots overlap.
  private(set) var l1Overlap: Int?

  /// One read of the table.
  private static let windowBytes = 64 << 10
  /// What an L1 table counts at least where all are to be looked through: each is a read.
  private static let leastL1Bytes = 16 << 10

  /// No snapshots.
  init() {}

  /// Throws what reading the file throws.
  init(_ header: Qcow2Header, _ io: MetadataIO, fileEnd: Int) throws(BlockError) {
    guard header.snapshotCount > 0 else { return }
    var window = [UInt8](repeating: 0, count: SnapshotPlaces.windowBytes)
    var held = ByteRange(at: header.snapshotsOffset, length: 0)
    var end = header.snapshotsOffset
    for _ in 0..<header.snapshotCount {
      if end + SnapshotEntry.fixedLength > held.upper {
        let got = try window.withMutableBytes { (target) throws(BlockError) in
          try io.storage.read(into: &target, at: end)
        }
        held = ByteRange(at: end, length: got)
      }
      guard held.upper - end >= SnapshotEntry.fixedLength else { break }
      let entry = window.withBytes { SnapshotEntry($0, at: end - held.lower) }
      let next = (end + entry.length).roundedUp(to: 8)
      guard entry.extraLength <= Limits.snapshotExtraBytes, end + entry.length <= fileEnd,
        next - header.snapshotsOffset <= Limits.snapshotTableBytes
      else { break }
      appendL1(entry, header.geometry)
      end = next
    }
    table = ByteRange(from: header.snapshotsOffset, to: end)
    mergeL1Tables()
  }

  private mutating func appendL1(_ entry: SnapshotEntry, _ geometry: ClusterGeometry) {
    let length = entry.l1Entries * 8
    guard let offset = Int(exactly: entry.l1Offset), offset > 0, length > 0,
      geometry.offsetInCluster(offset) == 0, length <= Limits.l1TableBytes,
      offset <= Int.max - length
    else { return }
    l1Tables.append(ByteRange(at: offset, length: length))
  }

  private mutating func mergeL1Tables() {
    l1Tables.sort { $0.lower < $1.lower }
    var count = 0
    for range in l1Tables {
      if count > 0, range.lower <= l1Tables[count - 1].upper {
        if range.lower < l1Tables[count - 1].upper { l1Overlap = l1Overlap ?? range.lower }
        let merged = max(l1Tables[count - 1].upper, range.upper)
        l1Tables[count - 1] = ByteRange(from: l1Tables[count - 1].lower, to: merged)
      } else {
        l1Tables[count] = range
        count += 1
      }
    }
    l1Tables.removeLast(l1Tables.count - count)
  }

  /// The memory that it takes, in bytes.
  var bytes: Int { l1Tables.capacity * MemoryLayout<ByteRange>.stride }

  /// Whether the L1 tables are so short, and so few, that all can be looked through.
  var areFew: Bool {
    l1Tables.reduce(0) { $0 + max($1.length, SnapshotPlaces.leastL1Bytes) }
      <= Limits.vettedTableBytes
  }

  /// The first of the L1 tables that has bytes of `bytes`.
  func firstL1Table(in bytes: ByteRange) -> ByteRange? {
    // The first that ends behind the beginning of `bytes`.
    var (low, high) = (0, l1Tables.count)
    while low < high {
      let middle = (low + high) / 2
      if l1Tables[middle].upper > bytes.lower { high = middle } else { low = middle + 1 }
    }
    return low < l1Tables.count && l1Tables[low].overlaps(bytes) ? l1Tables[low] : nil
  }
}

extension Qcow2State {
  /// Calls `body` with every L2 table that a snapshot's L1 table names, until it returns false;
  /// with some of them many times, as snapshots share them. With none where the L1 tables are long
  /// or many: there refcounts alone protect them.
  func forEachInactiveTable(
    _ body: (HostCluster) throws(BlockError) -> Bool
  ) throws(BlockError) {
    guard snapshots.areFew else { return }
    let piece = Qcow2State.scanBytes
    for table in snapshots.l1Tables {
      for start in stride(from: table.lower, to: min(table.upper, fileEnd), by: piece) {
        let words = try io.readWords(
          .inactiveL1Table, at: start, count: min(piece, table.upper - start) / 8,
          zeroPastEnd: true)
        for word in words where word != 0 {
          let entry = L1Entry(word: word)
          let offset = entry.tableOffset
          // What cannot be a table is left to a check.
          guard !entry.hasReservedBits, offset > 0, geometry.offsetInCluster(offset) == 0 else {
            continue
          }
          guard try body(geometry.cluster(at: offset)) else { return }
        }
      }
    }
  }
}
