import BlockCore
import BlockIO
import ImageFormats
import ImageTrials
import TestSupport
import Testing

/// Tables that lie in each other: whoever opens the image for writing finds them, before a write to
/// the one can destroy the other.
@Suite("tables in one place")
struct TableOverlapTests {
  /// A field by which one table comes to lie in another.
  enum Field: CaseIterable {
    case snapshotsOffset
    case snapshotL1Offset
    /// The first entry of the snapshot's L1 table.
    case snapshotL1Entry
    /// The same entry, with the refcount block in it.
    case snapshotL1EntryToBlock
    /// The first entry of the active L1 table, which calls a table its own that the snapshot names.
    case l1Entry
  }

  /// An image of 4 GiB with a snapshot, whose first cluster is both's.
  private func makeStage(_ field: Field) throws -> CheckStage {
    let stage = try CheckStage()
    try stage.create("cluster_size=65536", size: "4G")
    try stage.io("write -P 1 0 64k")
    try stage.img("snapshot", "-c", "s1", stage.path)
    try stage.poke { image in
      let table = Int(image.word(64))
      let inactiveL1 = Int(image.word(table))
      switch field {
      case .snapshotsOffset: image.set(UInt64(image.l1), at: 64)
      case .snapshotL1Offset: image.set(UInt64(image.l1), at: table)
      case .snapshotL1Entry: image.set(UInt64(image.l1), at: inactiveL1)
      case .snapshotL1EntryToBlock: image.set(firstBlock(of: image), at: inactiveL1)
      case .l1Entry: image.set(1 << 63 | image.word(image.l1), at: image.l1)
      }
    }
    return stage
  }

  private func firstBlock(of image: DamagedImage) -> UInt64 { image.word(Int(image.word(48))) }

  /// What the field's table is, where it lies, and what else lies there.
  private func facts(
    _ field: Field, of image: DamagedImage
  ) -> (name: String, offset: Int, other: String) {
    switch field {
    case .snapshotsOffset: ("A snapshot table", image.l1, "L1 table")
    case .snapshotL1Offset: ("An inactive L1 table", image.l1, "L1 table")
    case .snapshotL1Entry: ("An inactive L2 table", image.l1, "L1 table")
    case .snapshotL1EntryToBlock:
      ("An inactive L2 table", Int(firstBlock(of: image)), "refcount block")
    case .l1Entry:
      ("An inactive L2 table", Int(image.word(image.l1) & 0x00ff_ffff_ffff_fe00), "L2 table")
    }
  }

  @Test(
    "the image is marked corrupt when it is opened for writing, as QEMU does when it writes",
    arguments: Field.allCases)
  func marked(field: Field) throws {
    let stage = try makeStage(field)
    let before = try stage.bytes()
    let (name, offset, other) = facts(field, of: DamagedImage(bytes: before))
    let file = try HostFile.open(stage.path)
    let error = #expect(throws: BlockError.self) { try Qcow2Image.open(on: file, readOnly: false) }
    #expect(error?.code == .corrupt && error?.offset == offset)
    let sentence = "\(name) lies at byte \(offset), where the \(other) is"
    #expect(error?.message == sentence)
    var marked = DamagedImage(bytes: before)
    marked.set(marked.word(72) | 2, at: 72)
    #expect(try stage.bytes() == marked.bytes)
    // What is there can be read, and is told to be damaged.
    let reader = try Qcow2Image.open(on: file, readOnly: true)
    let runs = try reader.mappings(in: ByteRange(at: 0, length: 1 << 20), limit: 2)
    #expect(runs.map(\.range.length) == [65_536, 1 << 20 - 65_536])
    try file.close()

    try stage.directory.write(before, to: "image.qcow2")
    let theirs = try QemuTools.run(
      "qemu-io", ["-f", "qcow2", stage.path, "-c", "write -P 9 3G 64k"])
    // It opens no image whose snapshot table is none, and knows snapshots' L2 tables if told to.
    let isSeen = field == .snapshotsOffset || field == .snapshotL1Offset
    #expect((theirs.status != 0) == isSeen, "\(theirs.output)")
  }

  @Test("one that is reopened for writing is marked, too, and goes on being read")
  func reopened() throws {
    var image = try HostileImage()
    let entry = image.addSnapshot()
    image.put64(UInt64(image.l1Offset), at: entry)
    let storage = try image.storage()
    let opened = try Qcow2Image.open(on: storage, readOnly: true)
    let error = #expect(throws: BlockError.self) { try opened.reopen(readOnly: false) }
    #expect(error?.code == .corrupt)
    #expect(opened.isReadOnly)
    _ = try opened.mappings(in: ByteRange(at: 0, length: 1 << 20), limit: 10)
    image.put64(2, at: 72)
    #expect(try storage.bytes().isSame(as: image.bytes))
  }

  @Test("one with the dirty bit is marked instead of repaired")
  func dirty() throws {
    var image = try HostileImage()
    let entry = image.addSnapshot()
    image.put64(UInt64(image.l1Offset), at: entry)
    image.put64(1, at: 72)
    let storage = try image.storage()
    let error = #expect(throws: BlockError.self) {
      try Qcow2Image.open(on: storage, readOnly: false)
    }
    #expect(error?.message.hasPrefix("An inactive L1 table lies at byte") == true)
    image.put64(3, at: 72)
    #expect(try storage.bytes().isSame(as: image.bytes))
  }

  @Test("where the mark cannot be written, the image is refused all the same", arguments: [0, 1])
  func unmarkable(after: Int) throws {
    var image = try HostileImage()
    image.put64(1 << 63 | UInt64(image.l1Offset), at: image.l1Offset)
    let operation: StorageOperation = after == 0 ? .write : .flush
    let storage = FaultyStorage(try image.storage(), FaultyStorage.Fault(operation))
    let error = #expect(throws: BlockError.self) {
      try Qcow2Image.open(on: storage, readOnly: false)
    }
    #expect(error?.message.contains("marking the image corrupt failed too") == true)
  }

  @Test("snapshots may share L2 tables with each other and with the disk")
  func shared() throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=4096", size: "64M")
    try stage.io("write -P 1 0 8M")
    for index in 0..<3 { try stage.img("snapshot", "-c", "s\(index)", stage.path) }
    let file = try HostFile.open(stage.path)
    let image = try Qcow2Image.open(on: file, readOnly: false)
    try [UInt8](repeating: 3, count: 4096).withBytes { (bytes) throws(BlockError) in
      try image.write(bytes, at: 3 << 20, over: nil)
    }
    try image.close()
    try file.close()
    try stage.expectSameNumbers()
  }
}
