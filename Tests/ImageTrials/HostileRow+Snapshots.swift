import BlockCore
import ImageFormats
import TestSupport

// Rows 66 and 78 for what snapshots hold: entries and refcounts by which it would be written over.
// Rows 16, 22, 62 and 84 where a table of theirs, or of the disk, lies in another.

extension HostileRow {
  static let snapshotTables: [HostileRow] = namedTables + freeTables + freeData + tablesInTables

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
      $0.freeOnly(offset)
    }
  }

  private static let freeData: [HostileRow] = [
    HostileRow(
      78, "the refcount of a snapshot's data cluster is 0",
      snapshotData("counts as free")
    ) {
      let offset = $0.addSnapshot { (image, entry) in
        let table = image.word(at: Int(image.word(at: entry))) & 0x00ff_ffff_ffff_fe00
        return Int(image.word(at: Int(table)) & 0x00ff_ffff_ffff_fe00)
      }
      $0.freeOnly(offset)
    },
    HostileRow(
      68, "an L2 entry with COPIED for a data cluster of a snapshot's",
      snapshotData("named by another")
    ) {
      _ = $0.addSnapshot { _, entry in entry }
      $0.put64(1 << 63 | $0.word(at: $0.l2Entry(1)), at: $0.l2Entry(1))
    },
  ]

  /// Found by whatever would change the disk.
  private static func snapshotData(_ what: String) -> HostileOutcome {
    let all = HostileOutcome.Request.marks([what, "a snapshot's table"])
    return HostileOutcome(write: all, overwrite: all, fill: all, commit: all, check: [2])
  }

  /// Tables in places where another is, as errors name both.
  private static let tablesInTables: [HostileRow] =
    overlap(22, "snapshots_offset", "snapshot table", ["L1 table", "refcount table"]) {
      $0.put64(UInt64($2), at: 64)
    }
    + overlap(
      84, "a snapshot's L1 table", "inactive L1 table",
      ["L1 table", "refcount table", "snapshot table"]
    ) { $0.put64(UInt64($2), at: $1) }
    + overlap(
      62, "a snapshot's L1 entry", "inactive L2 table",
      ["L1 table", "refcount table", "snapshot table", "inactive L1 table", "refcount block"]
    ) { $0.put64(UInt64($2), at: Int($0.word(at: $1))) }
    + [
      HostileRow(
        84, "two snapshots with one L1 table", .markedAtOpening(["inactive L1 table"])
      ) {
        let entry = $0.addSnapshot()
        $0.bytes.put(Array($0.bytes[entry..<entry + 64]), at: entry + 64)
        $0.bytes[entry + 64 + 56] = 0x32
        $0.put32(2, at: 60)
      },
      HostileRow(
        62, "an L1 entry with COPIED for an L2 table of a snapshot's",
        .markedAtOpening(["inactive L2 table", "L2 table"])
      ) {
        _ = $0.addSnapshot()
        $0.put64(1 << 63 | $0.word(at: $0.l1Offset), at: $0.l1Offset)
      },
      HostileRow(
        16, "l1_table_offset of the refcount table", l1InRefcountTable
      ) { $0.put64(UInt64($0.refcountTableOffset), at: 40) },
    ]

  /// Its first entry is that of the refcount block, whose words are no L2 entries.
  private static let l1InRefcountTable: HostileOutcome = {
    var outcome = HostileOutcome.markedAtOpening(["L1 table", "refcount table"])
    outcome.map = .refused(["L2 entry"])
    outcome.read = outcome.map
    return outcome
  }()

  /// One row for each of the `others` in whose place `change` puts the table `name`.
  private static func overlap(
    _ number: Int, _ what: String, _ name: String, _ others: [String],
    _ change: @escaping @Sendable (inout HostileImage, _ entry: Int, _ place: Int) -> Void
  ) -> [HostileRow] {
    others.map { other in
      HostileRow(
        number, "\(what) of the \(other)", .markedAtOpening([name, other], check: [1, 2])
      ) {
        let entry = $0.addSnapshot()
        let place =
          switch other {
          case "L1 table": $0.l1Offset
          case "refcount table": $0.refcountTableOffset
          case "snapshot table": entry
          case "refcount block": $0.refcountBlockOffset
          default: Int($0.word(at: entry))
          }
        change(&$0, entry, place)
      }
    }
  }
}

extension HostileImage {
  /// Has the cluster at `offset` count as free, alone in the file, so that whoever wants one finds
  /// it.
  fileprivate mutating func freeOnly(_ offset: Int) {
    for other in stride(from: 0, to: bytes.count, by: 4096) {
      let place = refcount(at: other)
      if word(at: place) >> 48 == 0 { put(UInt16(1), at: place) }
    }
    put(UInt16(0), at: refcount(at: offset))
  }

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
