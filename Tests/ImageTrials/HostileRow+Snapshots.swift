import BlockCore
import ImageFormats

// Rows 66 and 78 for what snapshots hold: entries and refcounts by which it would be written over.

extension HostileRow {
  static let snapshotTables: [HostileRow] = namedTables + freeTables

  private static let copied: UInt64 = 1 << 63

  /// Tables of a snapshot, as errors name them, and where they lie in an image to which it has been
  /// added, with its entry at this offset.
  private static let places: [(name: String, place: @Sendable (inout HostileImage, Int) -> Int)] = [
    ("inactive L1 table", { Int($0.word(at: $1)) }),
    ("inactive L2 table", { Int($0.word(at: Int($0.word(at: $1))) & 0x00ff_ffff_ffff_fe00) }),
    ("snapshot table", { $1 }),
    (
      "snapshot table",
      {
        // The name goes on into a second cluster.
        $0.put(UInt16(5000), at: $1 + 14)
        return $0.append([UInt8](repeating: 0, count: 4096))
      }
    ),
  ]

  private static let namedTables: [HostileRow] = [true, false].flatMap { (isCopied: Bool) in
    places.enumerated().map { index, table in
      var outcome = HostileOutcome.overlaps([table.name])
      // With a snapshot, cluster by cluster.
      outcome.commit = .marks([table.name])
      return HostileRow(
        66, "an L2 entry that names the \(table.name) (\(index))" + (isCopied ? ", COPIED" : ""),
        outcome
      ) {
        let offset = $0.addSnapshot(table.place)
        $0.put64((isCopied ? copied : 0) | UInt64(offset), at: $0.l2Entry(0))
        $0.owned[0] = Array($0.bytes[offset..<offset + 4096])
      }
    }
  }

  private static let freeTables: [HostileRow] = places.enumerated().map { index, table in
    HostileRow(
      78, "the \(table.name)'s refcount is 0 (\(index))",
      HostileOutcome(fill: .marks(["counts as free", table.name]), check: [2])
    ) {
      let offset = $0.addSnapshot(table.place)
      // It is the only cluster that counts as free.
      for other in stride(from: 0, to: $0.bytes.count, by: 4096) {
        let refcount = $0.refcount(at: other)
        if $0.word(at: refcount) >> 48 == 0 { $0.put(UInt16(1), at: refcount) }
      }
      $0.put(UInt16(0), at: $0.refcount(at: offset))
    }
  }
}

extension HostileImage {
  /// Adds a snapshot after which the first table and guest cluster 0 have become the active
  /// table's own; returns what `place` makes of the snapshot's entry.
  fileprivate mutating func addSnapshot(_ place: (inout HostileImage, Int) -> Int) -> Int {
    let entry = addSnapshot()
    let offset = place(&self, entry)
    let (table, data) = (l2Offset, dataOffset(0))
    for cluster in [table, data] { put(UInt16(1), at: refcount(at: cluster)) }
    let ownTable = append(Array(bytes[table..<table + clusterSize]))
    put64(1 << 63 | UInt64(ownTable), at: l1Offset)
    let ownData = append(Array(bytes[data..<data + clusterSize]))
    put64(1 << 63 | UInt64(ownData), at: l2Entry(0))
    return offset
  }
}
