import BlockCore
import BlockIO
import ImageFormats
import ImageTrials
import TestSupport
import Testing

/// What snapshots alone hold is not written over, whatever entries and refcounts say.
@Suite("damage by which a write would meet a snapshot's tables")
struct SnapshotOverwriteTests {
  /// Where a write meets the damage.
  enum Meeting: CaseIterable {
    /// The refcount of the table is 0.
    case countsAsFree
    /// A COPIED L2 entry of the active table names it.
    case isNamed
  }

  /// A table of the first snapshot's.
  enum Table: String, CaseIterable {
    case l1 = "inactive L1 table"
    case l2 = "inactive L2 table"
    /// The second cluster of the snapshot table.
    case snapshots = "snapshot table"
  }

  private func offset(of table: Table, in image: DamagedImage) -> Int {
    let snapshotTable = Int(image.word(64))
    let inactiveL1 = Int(image.word(snapshotTable))
    return switch table {
    case .l1: inactiveL1
    case .l2: Int(image.word(inactiveL1) & 0x00ff_ffff_ffff_fe00)
    case .snapshots: snapshotTable + 512
    }
  }

  /// An image of 512-byte clusters with 12 snapshots, so that their table has two clusters; the
  /// active tables are its own.
  private func makeStage(_ table: Table, _ meeting: Meeting) throws -> CheckStage {
    let stage = try CheckStage()
    try stage.create("cluster_size=512", size: "64k")
    try stage.io("write -P 1 0 4k")
    for index in 0..<12 { try stage.img("snapshot", "-c", "s\(index)", stage.path) }
    try stage.io("write -P 2 0 4k")
    try stage.poke { image in
      let offset = offset(of: table, in: image)
      switch meeting {
      case .countsAsFree:
        // It is the only one, so that whoever wants a cluster finds it.
        for cluster in 0..<image.bytes.count / 512 {
          image.setRefcount(cluster == offset / 512 ? 0 : 1, of: cluster)
        }
      case .isNamed: image.set(1 << 63 | UInt64(offset), at: image.entry(0))
      }
    }
    return stage
  }

  @Test(
    "the write is refused and the image marked corrupt first, as QEMU does but for L2 tables",
    arguments: Table.allCases, Meeting.allCases)
  func refused(table: Table, meeting: Meeting) throws {
    let stage = try makeStage(table, meeting)
    let before = try stage.bytes()
    // Cluster 0 in place, or new clusters.
    let offset = meeting == .isNamed ? 0 : 32_768
    let message = try expectRefused(offset, of: stage)
    #expect(message.contains(table.rawValue), "\(message)")

    try stage.directory.write(before, to: "image.qcow2")
    let theirs = try QemuTools.run(
      "qemu-io", ["-f", "qcow2", stage.path, "-c", "write -P 3 \(offset) 512"])
    let isMarked = DamagedImage(bytes: try stage.bytes()).word(72) & 2 != 0
    // Their check of inactive L2 tables is off unless asked for.
    #expect((theirs.status != 0) == (table != .l2), "\(theirs.output)")
    #expect(isMarked == (table != .l2))
  }

  /// Expects that a write to `offset` fails as corrupt, and that no byte of the file changes but
  /// the mark. Returns what is said.
  private func expectRefused(_ offset: Int, of stage: CheckStage) throws -> String {
    let before = try stage.bytes()
    let file = try HostFile.open(stage.path)
    let error = #expect(throws: BlockError.self) {
      let image = try Qcow2Image.open(on: file, readOnly: false)
      defer { try? image.close() }
      try [UInt8](repeating: 3, count: 512).withBytes { (bytes) throws(BlockError) in
        try image.write(bytes, at: offset, over: nil)
      }
    }
    #expect(error?.code == .corrupt)
    try file.close()
    var marked = DamagedImage(bytes: before)
    marked.set(marked.word(72) | 2, at: 72)
    #expect(try stage.bytes() == marked.bytes)
    return error?.message ?? ""
  }

  @Test(
    "a data cluster that a snapshot alone holds and that counts as free is given to nobody",
    arguments: [false, true])
  func snapshotData(isNamedWrongly: Bool) throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=65536", size: "2G")
    try stage.io("write -P 1 0 64k")
    try stage.img("snapshot", "-c", "s1", stage.path)
    try stage.io("write -P 3 0 64k")
    try stage.poke { image in
      let table = offset(of: .l2, in: image)
      image.setRefcount(0, of: Int(image.word(table) & 0x00ff_ffff_ffff_fe00) >> 16)
      // An entry of the disk that is wrong itself: nobody looks at the table through it.
      if isNamedWrongly { image.set(UInt64(table) | 1, at: Int(image.word(40)) + 3 * 8) }
    }
    let message = try expectRefused(4 << 20, of: stage)
    #expect(message.contains("counts as free, but L2 entry 0 of a snapshot's table"), "\(message)")
  }

  @Test(
    "a data cluster that a snapshot names is not written in place, whatever the disk's entry says")
  func ownedBySnapshotToo() throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=65536", size: "2G")
    try stage.io("write -P 1 0 64k")
    try stage.img("snapshot", "-c", "s1", stage.path)
    // The disk has a table of its own then.
    try stage.io("write -P 3 64k 64k")
    try stage.poke { $0.set(1 << 63 | $0.word($0.entry(0)), at: $0.entry(0)) }
    let before = try stage.bytes()
    let message = try expectRefused(0, of: stage)
    #expect(
      message.contains("is called its own by one L2 entry and named by another"), "\(message)")

    // They write it, and the snapshot is another.
    try stage.directory.write(before, to: "image.qcow2")
    try stage.io("write -P 9 0 64k")
    try stage.img("snapshot", "-a", "s1", stage.path)
    try stage.io("read -P 9 0 64k")
  }

  @Test("a snapshot's L2 table that the end of the file cuts is looked through up to there")
  func cutTable() throws {
    var image = try HostileImage()
    let entry = image.addSnapshot()
    // The last cluster of the file is the table of the snapshot, and its first entry names data
    // that count as free.
    let data = image.append([UInt8](repeating: 5, count: 4096))
    let table = image.append([UInt8](repeating: 0, count: 4096))
    image.put64(UInt64(table), at: Int(image.word(at: entry)))
    image.put64(UInt64(data), at: table)
    image.put(UInt16(0), at: image.refcountBlockOffset + 2 * (data / 4096))
    var cut = image
    cut.bytes.removeLast(4096 - 12)
    let storage = try cut.storage()
    let opened = try Qcow2Image.open(on: storage, readOnly: false)
    let error = #expect(throws: BlockError.self) {
      try [UInt8](repeating: 3, count: 4096).withBytes { (bytes) throws(BlockError) in
        try opened.write(bytes, at: 500_000 / 4096 * 4096, over: nil)
      }
    }
    #expect(error?.message.contains("counts as free, but L2 entry 0 of a snapshot's table") == true)
  }
}
