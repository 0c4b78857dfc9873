import BlockCore
import ImageFormats
import TestSupport
import Testing

/// Damage is counted as `qemu-img check` counts it.
@Suite("check: damage is counted as qemu-img counts it")
struct CheckDamageTests {
  /// One way to damage an image, by name.
  struct Damage: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let apply: @Sendable (inout DamagedImage) -> Void

    init(_ name: String, _ apply: @escaping @Sendable (inout DamagedImage) -> Void) {
      testDescription = name
      self.apply = apply
    }
  }

  private static let copied: UInt64 = 1 << 63

  static let damages: [Damage] = [
    Damage("a refcount too high") { $0.setRefcount(2, of: $0.cluster(3)) },
    Damage("refcounts too high for what has COPIED") {
      for index in 0..<5 { $0.setRefcount(9, of: $0.cluster(index)) }
    },
    Damage("a leaked cluster") { image in
      image.setRefcount(1, of: image.cluster(7))
      image.set(0, at: image.entry(7))
    },
    Damage("a refcount of 0 for data") { $0.setRefcount(0, of: $0.cluster(3)) },
    Damage("a refcount of 0 for an L2 table") {
      $0.setRefcount(0, of: $0.table(0) >> $0.clusterBits)
    },
    Damage("a refcount of 0 for the header") { $0.setRefcount(0, of: 0) },
    Damage("COPIED missing in L2") { $0.set($0.word($0.entry(2)) & ~copied, at: $0.entry(2)) },
    Damage("COPIED missing in L1") { $0.set($0.word($0.l1) & ~copied, at: $0.l1) },
    Damage("an entry past the end") { $0.set(copied | 1 << 40, at: $0.entry(4)) },
    Damage("an entry without COPIED past the end") { $0.set(1 << 40, at: $0.entry(4)) },
    Damage("an unaligned entry") { $0.set($0.word($0.entry(5)) | 512, at: $0.entry(5)) },
    Damage("an unaligned reserved zero cluster") {
      $0.set($0.word($0.entry(5)) | 513, at: $0.entry(5))
    },
    Damage("reserved bits in L2") { $0.set($0.word($0.entry(5)) | 1 << 60, at: $0.entry(5)) },
    Damage("reserved bits in L1") { $0.set($0.word($0.l1) | 1 << 60, at: $0.l1) },
    Damage("two entries for one cluster") { $0.set($0.word($0.entry(5)), at: $0.entry(6)) },
    Damage("an entry for the header") { $0.set(copied | 1 << 20, at: $0.entry(6)) },
    Damage("an entry for the L1 table") { $0.set(copied | UInt64($0.l1), at: $0.entry(6)) },
    Damage("an entry for its own table") { $0.set(copied | UInt64($0.table(0)), at: $0.entry(6)) },
    Damage("an entry for the refcount table") {
      $0.set(copied | UInt64($0.refcountTable), at: $0.entry(6))
    },
    Damage("an entry for a refcount block") {
      $0.set(copied | $0.word($0.refcountTable), at: $0.entry(6))
    },
    Damage("two L1 entries for one table") { $0.set($0.word($0.l1), at: $0.l1 + 8) },
    Damage("an L1 entry past the end") { $0.set(copied | 1 << 40, at: $0.l1 + 8) },
    Damage("an L1 entry that is unaligned") { $0.set($0.word($0.l1) | 1024, at: $0.l1 + 8) },
    Damage("a compressed cluster with COPIED") {
      $0.set(copied | 1 << 62 | UInt64($0.cluster(0) << $0.clusterBits), at: $0.entry(6))
    },
    Damage("a compressed cluster past the end") { $0.set(1 << 62 | 1 << 40, at: $0.entry(6)) },
    Damage("a refcount block with reserved bits") {
      $0.set($0.word($0.refcountTable) | 8, at: $0.refcountTable)
    },
    Damage("a refcount block past the end") { $0.set(1 << 50, at: $0.refcountTable + 8) },
    Damage("a block that two entries name") {
      $0.set($0.word($0.refcountTable), at: $0.refcountTable + 8)
    },
    Damage("no refcount block at all") { $0.set(0, at: $0.refcountTable) },
    Damage("all refcounts the highest") { image in
      let block = Int(image.word(image.refcountTable))
      for offset in block..<block + image.clusterSize { image.bytes[offset] = 0xff }
    },
    Damage("a file cut in the last cluster") { $0.bytes.removeLast(1500) },
    Damage("a file cut by clusters") { $0.bytes.removeLast(5 * $0.clusterSize + 100) },
    Damage("bytes after the end") { $0.bytes += [UInt8](repeating: 7, count: 10_000) },
    Damage("the dirty bit") { $0.set(1, at: 72) },
    Damage("the corrupt bit") { $0.set(2, at: 72) },
  ]

  @Test("an image with a snapshot", arguments: damages)
  func withSnapshot(damage: Damage) throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=4k", size: "16M")
    try stage.io("write 0 300k", "write 5M 100k")
    try stage.img("snapshot", "-c", "a", stage.path)
    try stage.io("write 4k 60k", "write 1M 64k", "write -z 200k 8k", "write 15M 30k")
    try stage.poke(damage.apply)
    try stage.expectSameNumbers()
  }

  @Test("an image without", arguments: damages)
  func alone(damage: Damage) throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=64k", size: "700M")
    try stage.io("write 0 1M", "write 600M 1M")
    try stage.poke(damage.apply)
    try stage.expectSameNumbers()
  }
}
