import BlockCore
import ImageFormats
import ImageTrials
import TestSupport
import Testing

/// What a repair leaves, by the judgement of `qemu-img`.
@Suite("check: repair")
struct CheckRepairTests {
  /// Damage that a repair of refcounts and flags does away with.
  static let repairable: [CheckDamageTests.Damage] = CheckDamageTests.damages.filter {
    $0.testDescription.contains("refcount") || $0.testDescription.contains("COPIED missing")
      || $0.testDescription.contains("leak") || $0.testDescription.contains("bit")
      || $0.testDescription == "two entries for one cluster"
      || $0.testDescription == "two L1 entries for one table"
  }.filter {
    !$0.testDescription.contains("an entry for") && !$0.testDescription.contains("reserved bits in")
  }

  private func stage(_ options: String, _ damage: CheckDamageTests.Damage) throws -> CheckStage {
    let stage = try CheckStage()
    try stage.create(options, size: "16M")
    try stage.io("write -P 3 0 300k", "write -P 4 5M 100k")
    try stage.img("snapshot", "-c", "a", stage.path)
    try stage.io("write -P 5 4k 60k", "write 1M 64k", "write -z 200k 8k", "write 15M 30k")
    try stage.poke(damage.apply)
    return stage
  }

  @Test(
    "repair all leaves an image that qemu-img finds clean, with the same content",
    arguments: repairable, ["cluster_size=4k", "cluster_size=64k", "cluster_size=512"])
  func all(damage: CheckDamageTests.Damage, options: String) throws {
    let stage = try stage(options, damage)
    let theirs = stage.directory.file("theirs.qcow2")
    try stage.directory.write(try stage.bytes(), to: "theirs.qcow2")
    _ = try QemuTools.img("check", "-q", "-r", "all", theirs)
    let result = try stage.check(.all)
    #expect(result.corruptions == 0 && result.leaks == 0, "\(result.findings)")
    let after = try QemuTools.img("check", stage.path)
    #expect(after.status == 0, "\(after.output)")
    let compared = try QemuTools.img("compare", stage.path, theirs)
    #expect(compared.status == 0, "\(compared.output)")
    // Two uses of one table stay two: a write changes the refcounts under the other's flags.
    if damage.testDescription.hasPrefix("two L1") { return }
    try stage.io("write 2M 1M")
    #expect(try stage.oracle()["corruptions"] == nil)
  }

  @Test("repair leaks frees leaks, and touches nothing else", arguments: CheckDamageTests.damages)
  func leaks(damage: CheckDamageTests.Damage) throws {
    let stage = try stage("cluster_size=4k", damage)
    let before = try stage.check()
    let result = try stage.check(.leaks)
    #expect(result.leaks == before.leaks - result.leaksFixed)
    #expect(result.corruptions <= before.corruptions)
    if before.corruptions == 0 { #expect(result.leaks == 0) }
    try stage.expectSameNumbers()
  }

  /// All but the L1 entry whose table is unaligned: QEMU repairs what it takes for entries there,
  /// which is guest data.
  static let comparable = CheckDamageTests.damages.filter {
    $0.testDescription != "an L1 entry that is unaligned"
  }

  @Test("repair all goes as far as QEMU's, whatever is wrong", arguments: comparable)
  func asFarAsPossible(damage: CheckDamageTests.Damage) throws {
    let stage = try stage("cluster_size=4k", damage)
    let theirs = CheckStage(copying: stage)
    try stage.directory.write(try stage.bytes(), to: "theirs.qcow2")
    _ = try QemuTools.img("check", "-q", "-r", "all", theirs.path)
    let left = try theirs.oracle()["corruptions"] ?? 0
    let result = try stage.check(.all)
    let overlaps = try stage.check().findings.count { $0.contains("holds metadata") }
    #expect(result.corruptions - overlaps <= left, "\(result.findings)")
    #expect(try stage.oracle()["corruptions"] ?? 0 <= left)
    let again = try stage.check(.all)
    #expect(again.corruptions == result.corruptions && again.corruptionsFixed == 0)
  }

  @Test("the numbers of what was fixed are QEMU's")
  func fixedNumbers() throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=64k", size: "64M")
    try stage.io("write 0 1M", "write 3M 64k")
    try stage.poke { image in
      image.setRefcount(0, of: 0)
      image.setRefcount(5, of: image.cluster(2))
      image.setRefcount(0, of: image.cluster(3))
      image.set(image.word(image.entry(4)), at: image.entry(5))
    }
    let result = try stage.check(.all)
    #expect(result.corruptionsFixed == 5)
    #expect(result.leaksFixed == 2)
    #expect(try stage.oracle()["corruptions"] == nil)
  }

  @Test("stale bitmaps go with their clusters")
  func staleBitmaps() throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=4k", size: "16M")
    try stage.img("bitmap", "--add", stage.path, "b")
    try stage.io("write 0 900k")
    try stage.poke { $0.set(0, at: 88) }
    #expect(try stage.check(.leaks).leaksFixed > 0)
    try stage.expectSameNumbers()
    let info = try QemuTools.img("info", stage.path)
    #expect(!info.output.contains("bitmaps"))
  }

  @Test("bitmaps and snapshots survive a rebuild")
  func bitmapsSurvive() throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=4k", size: "16M")
    try stage.img("bitmap", "--add", "-g", "4096", stage.path, "b")
    try stage.io("write 0 900k")
    try stage.img("snapshot", "-c", "s", stage.path)
    try stage.io("write 0 100k")
    try stage.poke { $0.set(0, at: $0.refcountTable) }
    let result = try stage.check(.all)
    #expect(result.isSound && result.leaks == 0 && result.corruptionsFixed > 0)
    try stage.expectSameNumbers()
    let info = try QemuTools.img("info", stage.path)
    #expect(info.output.contains("name: b"))
  }

  /// How the refcount table of an image with refcounts of one bit is broken.
  enum BrokenTable: CaseIterable {
    /// An entry names the cluster of the table itself.
    case namesItself
    /// The header names the L1 table instead.
    case isL1Table
    /// Two entries name one block.
    case namesTwice
  }

  @Test(
    "refcounts that can hold no second reference are rebuilt, too", arguments: BrokenTable.allCases)
  func fullRefcounts(broken: BrokenTable) throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=512,refcount_bits=1", size: "4M")
    try stage.io("write -P 1 0 1M", "write -P 2 2M 64k")
    try stage.img("convert", "-O", "raw", stage.path, stage.directory.file("before"))
    try stage.poke { image in
      let table = image.refcountTable
      switch broken {
      case .namesItself: image.set(UInt64(table), at: table + 8)
      case .isL1Table: image.set(UInt64(image.l1), at: 48)
      case .namesTwice: image.set(image.word(table), at: table + 8)
      }
    }
    let result = try stage.check(.all)
    #expect(result.isSound, "\(result.findings)")
    try stage.expectSameNumbers()
    try stage.img("compare", stage.path, stage.directory.file("before"))
  }

  @Test("new refcounts do not lie where entries of a file that was cut still look for data")
  func cutFile() throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=4k", size: "16M")
    try stage.io("write -P 1 0 4M", "write -P 2 8M 4M")
    var end = 0
    try stage.poke { image in
      // The last guest cluster that was written, in the last of six tables.
      end = Int(image.word(image.table(5) + 511 * 8) & 0x00ff_ffff_ffff_fe00) + 4096
      image.bytes.removeLast(2 << 20)
      // A block that is none: all are made anew.
      image.set(1, at: image.refcountTable)
    }
    _ = try stage.check(.all)
    let repaired = DamagedImage(bytes: try stage.bytes())
    #expect(repaired.refcountTable >= end && end > 8 << 20)
    // What was lost reads zeros for QEMU, as it did when it was lost.
    try stage.io("read -P 1 0 4M", "read -P 2 8M 1M", "read -P 0 11M 1M")
  }

  @Test("an entry that leads farther than refcounts can count keeps nothing from being rebuilt")
  func farEntry() throws {
    var image = try HostileImage(clusterSize: 512, refcountBits: 64)
    image.put64(1 << 63 | 35 << 30, at: image.l2Entry(3))
    // A block that is none.
    image.put64(1, at: image.refcountTableOffset)
    let storage = try image.storage()
    try storage.truncate(to: 10 << 30)
    let operation = try Qcow2Image.open(on: storage, readOnly: true).check(.all)
    while try !operation.step() {}
    let result = operation.result
    #expect(result.corruptions == 1 && result.corruptionsFixed > 0, "\(result.findings)")
  }

  @Test("refcounts of every width are rebuilt", arguments: [1, 2, 4, 8, 16, 32, 64])
  func widths(bits: Int) throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=512,refcount_bits=\(bits)", size: "4M")
    try stage.io("write 0 1M", "write 3M 64k")
    try stage.poke { $0.set(0, at: $0.refcountTable) }
    let result = try stage.check(.all)
    #expect(result.isSound && result.leaks == 0 && result.corruptionsFixed > 0)
    try stage.expectSameNumbers()
  }
}
