import BlockCore
import ImageFormats

// Rows 60 to 69, and 77 to 80: L1, L2 and refcount entries that lie about guest cluster 0.

extension HostileRow {
  static let tables: [HostileRow] = l1 + l2 + overlaps + refcounts

  private static let copied: UInt64 = 1 << 63

  private static let l1: [HostileRow] = [
    HostileRow(60, "an L1 entry inside the header's cluster", .touched(["L1 entry 0", "200"])) {
      $0.put64(copied | 512, at: $0.l1Offset)
    },
    HostileRow(60, "an L1 entry of nothing, COPIED", .touched(["L1 entry 0", "8000"])) {
      $0.put64(copied, at: $0.l1Offset)
    },
    HostileRow(61, "an unaligned L1 entry", .touched(["L1 entry 0"])) {
      $0.flip(bit: 9, ofWordAt: $0.l1Offset)
    },
    l1Overlap("L1 table") { $0.l1Offset },
    l1Overlap("refcount table") { $0.refcountTableOffset },
    // It is neither all zeros nor a table: its first word is a refcount.
    l1Overlap("refcount block", reads: .refused(["L2 entry"])) { $0.refcountBlockOffset },
    HostileRow(
      62, "half a million L1 entries that name one L2 table",
      HostileOutcome(
        map: manyNames, read: manyNames, write: .marks(["L2 table"]),
        overwrite: .marks(["L2 table"]), fill: .marks(["L2 table"]),
        commit: .marks(["L2 table"]), readWritable: .marks(["L2 table"]), check: [2]),
      Shape(clusterSize: 65_536, size: 1 << 48), files: { $0.image.nameFirstTableEverywhere() }),
    HostileRow(63, "an L1 entry past the end of the file", .touched(["L1 entry 0"])) {
      $0.put64(copied | 1 << 40, at: $0.l1Offset)
    },
    HostileRow(64, "an L1 entry with reserved bits", .touched(["L1 entry 0"])) {
      $0.flip(bit: 60, ofWordAt: $0.l1Offset)
    },
    HostileRow(81, "a file cut off inside the L2 table", .touched(["L1 entry 0"])) {
      $0.bytes.removeLast($0.bytes.count - $0.l2Offset - 100)
    },
  ]

  private static let manyNames = HostileOutcome.Request.refused(["L2 tables that others name too"])

  /// An L1 entry that names other metadata: known when the image is opened, so it can only be read,
  /// and not even that where the entry is met.
  private static func l1Overlap(
    _ name: String, reads: HostileOutcome.Request? = nil,
    _ place: @escaping @Sendable (HostileImage) -> Int
  ) -> HostileRow {
    var outcome = HostileOutcome.markedAtOpening([name])
    outcome.map = reads ?? .refused(["L1 entry 0"])
    outcome.read = outcome.map
    return HostileRow(62, "an L1 entry that names the \(name)", outcome) {
      $0.put64(copied | UInt64(place($0)), at: $0.l1Offset)
    }
  }

  /// Changes the L2 entry of guest cluster 0.
  private static func l2Entry(
    _ number: Int, _ name: String, _ words: String..., version: Int = 3,
    _ change: @escaping @Sendable (inout HostileImage, Int) -> Void
  ) -> HostileRow {
    let outcome = HostileOutcome.touched(["L2 entry", "guest offset 0"] + words, fill: .works)
    return HostileRow(number, name, outcome, Shape(version: version)) { change(&$0, $0.l2Entry(0)) }
  }

  private static let l2: [HostileRow] = [
    l2Entry(64, "an L2 entry with reserved bits", "reserved") { $0.flip(bit: 60, ofWordAt: $1) },
    l2Entry(65, "an unaligned L2 entry", "aligned") { $0.flip(bit: 9, ofWordAt: $1) },
    l2Entry(66, "an L2 entry inside the header's cluster", "aligned") {
      $0.put64(copied | 512, at: $1)
    },
    l2Entry(67, "an L2 entry past the end of the file", "past the end") {
      $0.put64(copied | 1 << 40, at: $1)
    },
    l2Entry(69, "the zero flag in version 2", "zero flag", version: 2) {
      $0.flip(bit: 0, ofWordAt: $1)
    },
    l2Entry(70, "compressed at offset 0", "header") { $0.put64(1 << 62, at: $1) },
    l2Entry(70, "compressed in the header", "header") { $0.put64(1 << 62 | 512, at: $1) },
    l2Entry(70, "compressed at the end of the file", "past the end") {
      $0.put64(1 << 62 | UInt64($0.bytes.count), at: $1)
    },
    l2Entry(70, "compressed past the end of the file", "past the end") {
      $0.put64(1 << 62 | 1 << 40, at: $1)
    },
    l2Entry(71, "compressed and COPIED", "COPIED") { $0.put64(3 << 62 | 4096, at: $1) },
  ]

  private static let overlaps: [HostileRow] = [true, false].flatMap { (isCopied: Bool) in
    let flag = isCopied ? copied : 0
    let places: [(String, @Sendable (HostileImage) -> Int)] = [
      ("L1 table", { $0.l1Offset }), ("L2 table", { $0.l2Offset }),
      ("refcount block", { $0.refcountBlockOffset }),
      ("refcount table", { $0.refcountTableOffset }),
    ]
    return places.map { name, place in
      HostileRow(
        66, "an L2 entry that names the \(name)" + (isCopied ? ", COPIED" : ""),
        .overlaps([name], fill: .done)
      ) {
        let offset = place($0)
        $0.put64(flag | UInt64(offset), at: $0.l2Entry(0))
        $0.owned[0] = Array($0.bytes[offset..<offset + 4096])
      }
    }
  }

  private static let refcounts: [HostileRow] = shared + zeroRefcounts + fullRefcounts

  private static let shared: [HostileRow] =
    [(0, 1), (1, 0)].map { (index: Int, other: Int) in
      HostileRow(
        68, "L2 entry \(index) names the cluster of \(other) too, both COPIED",
        .overlaps(["Two L2 entries", "guest offset"], fill: .marks(sharedWords))
      ) {
        $0.put64($0.word(at: $0.l2Entry(other)), at: $0.l2Entry(index))
        $0.owned[index] = $0.owned[other]
      }
    } + [
      HostileRow(
        68, "L2 entry 0 names the cluster of 1, which is COPIED there alone",
        .overlaps(sharedWords, fill: .marks(sharedWords))
      ) {
        $0.put64($0.word(at: $0.l2Entry(1)) & ~(1 << 63), at: $0.l2Entry(0))
        $0.owned[0] = $0.owned[1]
      },
      HostileRow(
        68, "an entry far from all others names the cluster of 0 too, both COPIED",
        .overlaps(sharedWords, fill: .marks(sharedWords)), Shape(clusterSize: 8192, size: 6 << 20)
      ) {
        $0.put64($0.word(at: $0.l2Entry(0)), at: $0.l2Entry(600))
        $0.owned[600] = $0.owned[0]
      },
    ]
  private static let sharedWords = ["called its own", "named by another", "guest offset"]

  /// Metadata that count as free, alone in the file, so that whoever wants a cluster finds them.
  private static func zeroRefcount(
    _ name: String, _ outcome: HostileOutcome? = nil,
    _ place: @escaping @Sendable (HostileImage) -> Int
  ) -> HostileRow {
    let found = HostileOutcome(fill: .marks(["counts as free", name]), check: [2])
    return HostileRow(78, "the \(name)'s refcount is 0", outcome ?? found) {
      let place = place($0)
      for offset in stride(from: 0, to: $0.bytes.count, by: 4096) {
        $0.put(UInt16(offset == place ? 0 : 1), at: $0.refcount(at: offset))
      }
    }
  }

  private static let zeroRefcounts: [HostileRow] = [
    zeroRefcount("header") { _ in 0 },
    zeroRefcount("L1 table") { $0.l1Offset },
    zeroRefcount(
      "L2 table",
      HostileOutcome(
        fill: .marks(["counts as free", "L2 table"]),
        empty: .marks(["counts as free", "L1 entry 0"]), check: [2])
    ) { $0.l2Offset },
    zeroRefcount("refcount table") { $0.refcountTableOffset },
    zeroRefcount("refcount block") { $0.refcountBlockOffset },
    zeroRefcount(
      "data cluster",
      HostileOutcome(
        write: .marks(["refcount is 0"]), overwrite: .marks(["refcount is 0"]),
        fill: .marks(["counts as free"]), check: [2])
    ) { $0.dataOffset(0) },
    HostileRow(
      78, "the refcount of a data cluster is 0 that an entry far from all others names",
      .overlaps(["counts as free"], fill: .marks(["counts as free"])),
      Shape(clusterSize: 8192, size: 6 << 20)
    ) {
      // Entries of the same table, but not in the same 4 KiB of it.
      let entry = $0.word(at: $0.l2Entry(5))
      $0.put64(0, at: $0.l2Entry(5))
      $0.put64(entry, at: $0.l2Entry(600))
      $0.owned[600] = $0.owned.removeValue(forKey: 5)
      for offset in stride(from: 0, to: $0.bytes.count, by: 8192) {
        $0.put(UInt16(offset == $0.dataOffset(600) ? 0 : 1), at: $0.refcount(at: offset))
      }
    },
    HostileRow(
      78, "a compressed cluster's refcount is 0",
      HostileOutcome(
        write: .marks(["counts as free"]), overwrite: .marks(["counts as free"]),
        fill: .marks(["counts as free"]), check: [2])
    ) {
      $0.compress(
        0, as: PackedBytes.deflate(7, count: 4096), of: [UInt8](repeating: 7, count: 4096))
      for offset in stride(from: 0, to: $0.bytes.count, by: 4096) {
        let isLast = offset + 4096 >= $0.bytes.count
        $0.put(UInt16(isLast ? 0 : 1), at: $0.refcount(at: offset))
      }
    },
  ]

  private static let fullRefcounts: [HostileRow] =
    [
      HostileRow(79, "all refcounts 0xffff", .opens.checked([2])) {
        let block = $0.refcountBlockOffset
        for offset in stride(from: block, to: block + 4096, by: 8) { $0.put64(.max, at: offset) }
      },
      HostileRow(80, "refcount 2 with COPIED set", .opens.checked([2])) {
        $0.put(UInt16(2), at: $0.refcount(at: $0.dataOffset(0)))
      },
    ]
    + [1, 512, 1 << 40, 1 << 63 - 4096, .max, 1 << 63].map { (entry: UInt64) in
      HostileRow(
        77, "the refcount table entry 0x\(String(entry, radix: 16))",
        .readOnly(["efcount"], check: [1, 2])
      ) { $0.put64(entry, at: $0.refcountTableOffset) }
    } + [
      HostileRow(
        77, "a refcount block that is the refcount table", .markedAtOpening(["efcount"])
      ) {
        $0.put64(UInt64($0.refcountTableOffset), at: $0.refcountTableOffset)
      },
      HostileRow(
        77, "a refcount block that stands twice", .markedAtOpening(["refcount block"])
      ) {
        $0.put64(UInt64($0.refcountBlockOffset), at: $0.refcountTableOffset + 8)
      },
    ]
}
