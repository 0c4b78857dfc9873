import BlockCore
import ImageFormats

// Rows 60 to 69, and 77 to 80: L1, L2 and refcount entries that lie about guest cluster 0.

extension HostileRow {
  static let tables: [HostileRow] = l1 + l2 + overlaps + refcounts

  private static let copied: UInt64 = 1 << 63
  private static let corrupt = Outcome.requests(read: .corrupt, write: .corrupt)

  private static let l1: [HostileRow] = [
    HostileRow(60, "an L1 entry inside the header's cluster", corrupt) {
      $0.put64(copied | 512, at: $0.l1Offset)
    },
    HostileRow(61, "an unaligned L1 entry", corrupt) { $0.flip(bit: 9, ofWordAt: $0.l1Offset) },
    HostileRow(62, "an L1 entry that names the L1 table", .readOnly(["L1 table"])) {
      $0.put64(copied | UInt64($0.l1Offset), at: $0.l1Offset)
    },
    HostileRow(62, "an L1 entry that names the refcount table", .readOnly(["refcount table"])) {
      $0.put64(copied | UInt64($0.refcountTableOffset), at: $0.l1Offset)
    },
    HostileRow(62, "an L1 entry that names the refcount block", .readOnly(["refcount block"])) {
      $0.put64(copied | UInt64($0.refcountBlockOffset), at: $0.l1Offset)
    },
    HostileRow(63, "an L1 entry past the end of the file", corrupt) {
      $0.put64(copied | 1 << 40, at: $0.l1Offset)
    },
    HostileRow(64, "an L1 entry with reserved bits", corrupt) {
      $0.flip(bit: 60, ofWordAt: $0.l1Offset)
    },
    HostileRow(81, "a file cut off inside the L2 table", corrupt) {
      $0.bytes.removeLast($0.bytes.count - $0.l2Offset - 100)
    },
  ]

  private static let l2: [HostileRow] = [
    HostileRow(64, "an L2 entry with reserved bits", corrupt) {
      $0.flip(bit: 60, ofWordAt: $0.l2Entry(0))
    },
    HostileRow(65, "an unaligned L2 entry", corrupt) { $0.flip(bit: 9, ofWordAt: $0.l2Entry(0)) },
    HostileRow(67, "an L2 entry past the end of the file", corrupt) {
      $0.put64(copied | 1 << 40, at: $0.l2Entry(0))
    },
    HostileRow(69, "the zero flag in version 2", corrupt, Shape(version: 2)) {
      $0.flip(bit: 0, ofWordAt: $0.l2Entry(0))
    },
    HostileRow(70, "compressed at offset 0", corrupt) { $0.put64(1 << 62, at: $0.l2Entry(0)) },
    HostileRow(70, "compressed in the header", corrupt) {
      $0.put64(1 << 62 | 512, at: $0.l2Entry(0))
    },
    HostileRow(70, "compressed past the end of the file", corrupt) {
      $0.put64(1 << 62 | 1 << 40, at: $0.l2Entry(0))
    },
    HostileRow(71, "compressed and COPIED", corrupt) {
      $0.put64(3 << 62 | 4096, at: $0.l2Entry(0))
    },
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
        .requests(read: .works, write: .marksCorrupt)
      ) { $0.put64(flag | UInt64(place($0)), at: $0.l2Entry(0)) }
    }
  }

  private static let refcounts: [HostileRow] =
    [
      HostileRow(68, "two L2 entries share a cluster, both COPIED", .answered(["refcount"])) {
        $0.put64($0.word(at: $0.l2Entry(1)), at: $0.l2Entry(0))
      },
      HostileRow(78, "the header's refcount is 0", .answered(["refcount"])) {
        $0.put(UInt16(0), at: $0.refcountBlockOffset)
      },
      HostileRow(78, "the L1 table's refcount is 0", .answered(["refcount"])) {
        $0.put(UInt16(0), at: $0.refcountBlockOffset + 2 * ($0.l1Offset / 4096))
      },
      HostileRow(78, "a data cluster's refcount is 0", .answered(["refcount"])) {
        let data = Int($0.word(at: $0.l2Entry(0)) & 0x00ff_ffff_ffff_fe00)
        $0.put(UInt16(0), at: $0.refcountBlockOffset + 2 * (data / 4096))
      },
      HostileRow(79, "all refcounts 0xffff", .answered([])) {
        let block = $0.refcountBlockOffset
        for offset in stride(from: block, to: block + 4096, by: 8) { $0.put64(.max, at: offset) }
      },
      HostileRow(80, "refcount 2 with COPIED set", .answered(["refcount"])) {
        let data = Int($0.word(at: $0.l2Entry(0)) & 0x00ff_ffff_ffff_fe00)
        $0.put(UInt16(2), at: $0.refcountBlockOffset + 2 * (data / 4096))
      },
    ]
    + [1, 512, 1 << 40, 1 << 63 - 4096, .max, 1 << 63].map { (entry: UInt64) in
      HostileRow(
        77, "the refcount table entry 0x\(String(entry, radix: 16))",
        .readOnly(["efcount"])
      ) { $0.put64(entry, at: $0.refcountTableOffset) }
    } + [
      HostileRow(77, "a refcount block that is the refcount table", .readOnly(["efcount"])) {
        $0.put64(UInt64($0.refcountTableOffset), at: $0.refcountTableOffset)
      },
      HostileRow(77, "a refcount block that stands twice", .readOnly(["refcount block"])) {
        $0.put64(UInt64($0.refcountBlockOffset), at: $0.refcountTableOffset + 8)
      },
    ]
}
