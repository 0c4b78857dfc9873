import BlockCore
import ImageFormats

// Rows 1 to 32: the fixed header.

extension HostileRow {
  static let headers: [HostileRow] = cutHeaders + headerFields.joined() + features

  private static let cutHeaders: [HostileRow] = [
    (1, 0, "qcow2 format"), (2, 4, "version"), (3, 71, "incompatible_features"),
    (4, 103, "header_length"), (5, 512, "l1_table_offset"),
  ].map { (number: Int, count: Int, field: String) in
    HostileRow(number, "only \(count) bytes", .refused([field])) {
      $0.bytes.removeLast($0.bytes.count - count)
    }
  }

  private static let headerFields: [[HostileRow]] = [
    words(6, "magic", at: 0, [0, 0x5146_49fa], .refused(["qcow2 format"])),
    words(7, "version", at: 4, [0, 1, 4, .max]),
    words(8, "cluster_bits", at: 20, [0, 8, 22, 31, 32, 63, .max]),
    longs(9, "size", at: 24, [1 << 63, .max]),
    longs(9, "size", at: 24, [1 << 56], .refused(["l1_size", "\(1 << 56)"])),
    longs(10, "size", at: 24, [1, 1_000_001], .opens),
    longs(11, "size", at: 24, [0], .opens),
    words(12, "crypt_method", at: 32, [1], .refused(["AES"])),
    words(12, "crypt_method", at: 32, [2], .refused(["LUKS"])),
    words(12, "crypt_method", at: 32, [3, .max]),
    words(13, "l1_size", at: 36, [0]),
    words(14, "l1_size", at: 36, [(4 << 20) + 1]),
    words(14, "l1_size", at: 36, [4 << 20], .refused(["l1_table_offset", "\(32 << 20) bytes"])),
    words(15, "l1_size", at: 36, [.max]),
    longs(16, "l1_table_offset", at: 40, [0, 1, 4097, 1 << 62, 1 << 63, 1 << 40]),
    longs(17, "l1_table_offset", at: 40, [.max, .max - 4095, 1 << 63 - 4096]),
    longs(
      18, "refcount_table_offset", at: 48, [0, 1, 4097, 1 << 63, .max, 1 << 40],
      .readOnly(["refcount_table_offset"], check: [2])),
    // A check opens it all the same: a repair is what it needs.
    words(
      19, "refcount_table_clusters", at: 56, [0],
      .refused(["refcount_table_clusters", "0"]).checked([2])),
    words(20, "refcount_table_clusters", at: 56, [(8 << 20) / 4096 + 1, .max]),
    words(21, "nb_snapshots", at: 60, [65_537, .max]),
    words(21, "nb_snapshots", at: 60, [1], .refused(["snapshots_offset"])),
    [4097, 1 << 63, 1 << 40].map { (offset: UInt64) in
      HostileRow(
        22, "snapshots_offset = \(offset)",
        // A check tells of a table that was lost, and refuses one that can be none.
        .refused(["snapshots_offset", "\(offset)"]).checked([1, 2])
      ) {
        $0.put32(1, at: 60)
        $0.put64(offset, at: 64)
      }
    },
    words(31, "refcount_order", at: 96, [7, 31, .max]),
    words(32, "header_length", at: 100, [0, 72, 103, 105, 65_544, .max]),
  ]

  private static let features: [HostileRow] =
    longs(23, "unknown bit", at: 72, [1 << 5, 1 << 63], .refused(["feature"]))
    + longs(24, "dirty bit", at: 72, [1], .opens)
    + longs(25, "corrupt bit", at: 72, [2], .readOnly(["corrupt"], check: [0]))
    + longs(26, "external data file bit", at: 72, [4], .refused(["external data file"]))
    + longs(27, "compression bit without a type", at: 72, [8], .refused(["compression_type"]))
    + [1, 255].map { (type: UInt8) in
      HostileRow(27, "compression_type = \(type)", .refused(["compression_type", "\(type)"])) {
        $0.put(type, at: 104)
      }
    }
    + longs(28, "extended L2 bit", at: 72, [16], .refused(["extended L2"]))
    + longs(29, "compatible_features", at: 80, [.max], .opens)
    + longs(30, "autoclear_features", at: 88, [.max], .opens)
}
