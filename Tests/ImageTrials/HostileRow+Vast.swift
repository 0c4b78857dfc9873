import BlockCore

// Rows 82 and 86: sparse files, in which little is said of very much.

extension HostileRow {
  static let vast: [HostileRow] =
    [
      HostileRow(82, "a sparse file of 1 TiB", .opens, files: { $0.length = 1 << 40 }),
      far(65_536), far(65_536, naming: 300), far(262_144, naming: 4), far(1 << 19),
      HostileRow(
        86, "half a million L2 tables in a hole", answering([2]),
        Shape(clusterSize: 65_536, size: 1 << 48, isFilled: false),
        files: { $0.nameHoles() }),
      HostileRow(
        86, "2000 snapshots whose L1 tables are holes of 32 MiB, dirty", answering([2]),
        Shape(clusterSize: 65_536), files: { $0.addSnapshots(2_000) }),
    ]

  /// Guest clusters that lie as far apart in 1 TiB as so many can; the disk shows a few of them.
  /// The L1 table names their tables `times` times.
  private static func far(_ clusters: Int, naming times: Int = 1) -> HostileRow {
    HostileRow(
      86, "\(clusters) clusters all over 1 TiB, named \(times) times",
      // Of the most a check cannot keep count.
      answering(clusters < 1 << 18 ? [2] : [1, 2]), Shape(clusterSize: 512, isFilled: false),
      files: { $0.spread(clusters, naming: times) })
  }

  /// Whatever becomes of it, it does so soon; a check ends with one of `status`.
  private static func answering(_ status: Set<Int32>) -> HostileOutcome {
    HostileOutcome(
      map: .answers, read: .answers, write: .answers, overwrite: .answers, fill: .answers,
      commit: .answers, check: status)
  }
}

extension HostileFiles {
  /// Has a new L1 table map `clusters` clusters of 512 bytes; their tables lie behind it.
  fileprivate mutating func spread(_ clusters: Int, naming times: Int) {
    // One cluster more could not be checked at all.
    let end = (1 << 40) - (1 << 20)
    let l1 = image.bytes.count.roundedUp(to: 512)
    let (perTable, count) = (64, clusters / 64)
    let tables = (l1 + count * times * 8).roundedUp(to: 512)
    let data = tables + clusters * 8
    let step = ((end - data) / clusters).roundedDown(to: 512)
    image.bytes += [UInt8](repeating: 0, count: data - image.bytes.count)
    image.put32(UInt32(count * times), at: 36)
    image.put64(UInt64(l1), at: 40)
    for index in 0..<count * times {
      image.put64(1 << 63 | UInt64(tables + index % count * 512), at: l1 + index * 8)
    }
    for index in 0..<count * perTable {
      image.put64(1 << 63 | UInt64(data + index * step), at: tables + index * 8)
    }
    length = end
  }

  /// Has each L1 entry name a table of its own past the end of what the file holds.
  fileprivate mutating func nameHoles() {
    let (size, l1, count) = (image.clusterSize, image.l1Offset, image.field(at: 36))
    let first = image.bytes.count.roundedUp(to: size)
    image.bytes.withMutableBytes { bytes in
      for index in 0..<count {
        bytes.setBigEndian(1 << 63 | UInt64(first + index * size), at: l1 + index * 8)
      }
    }
    length = first + count * size
  }

  /// Adds snapshots with L1 tables in holes, one behind the other, and the dirty bit.
  fileprivate mutating func addSnapshots(_ count: Int) {
    let tableBytes = 32 << 20
    let table = image.bytes.count.roundedUp(to: image.clusterSize)
    let holes = (table + count * 64).roundedUp(to: tableBytes)
    image.bytes += [UInt8](repeating: 0, count: table + count * 64 - image.bytes.count)
    for index in 0..<count {
      let entry = table + index * 64
      image.put64(UInt64(holes + index * tableBytes), at: entry)
      image.put32(UInt32(tableBytes / 8), at: entry + 8)
      // An identifier, a name, and extra data.
      image.put32(1 << 16 | 1, at: entry + 12)
      image.put32(16, at: entry + 36)
      image.bytes[entry + 56] = 0x31
      image.bytes[entry + 57] = 0x6e
    }
    image.put32(UInt32(count), at: 60)
    image.put64(UInt64(table), at: 64)
    image.put64(1, at: 72)
    length = holes + count * tableBytes
  }
}
