import BlockCore
import ImageFormats

// Rows 72 to 76 and 81 to 85: compressed data, lengths, snapshots and bitmaps.

extension HostileRow {
  static let contents: [HostileRow] = compressed + extended + lengths + snapshots + bitmaps

  /// Guest cluster 0 compressed, as these bytes, and alone in a table of its own.
  private static func packed(
    _ number: Int, _ name: String, _ outcome: Outcome = .unreadable, zstd: Bool = false,
    _ bytes: @escaping @Sendable () -> [UInt8]
  ) -> HostileRow {
    HostileRow(number, name, outcome) {
      $0.compress(0, as: bytes())
      if !zstd { return }
      $0.put64(8, at: 72)
      $0.put(UInt8(1), at: 104)
    }
  }

  private static let compressed: [HostileRow] = [
    packed(72, "deflate of exactly one cluster", .opens) { PackedBytes.deflate(7, count: 4096) },
    packed(72, "a deflate bomb", .answered(["decompress"])) {
      // As much as the entry's sector count can say.
      PackedBytes.deflate(7, count: 156_000)
    },
    packed(73, "deflate of too little") { PackedBytes.deflate(7, count: 4095) },
    packed(73, "deflate of which bits are flipped") {
      PackedBytes.deflate(7, count: 4096).map { $0 ^ 0xff }
    },
    packed(73, "deflate that is cut off") {
      Array(PackedBytes.deflate(7, count: 4096).prefix(10)) + [UInt8](repeating: 0, count: 600)
    },
    packed(74, "zstd of exactly one cluster", .opens, zstd: true) {
      PackedBytes.zstd(7, count: 4096)
    },
    packed(74, "a zstd frame with a window of 2 TiB", zstd: true) {
      PackedBytes.zstd(7, count: 4096, window: 0xf8)
    },
    packed(74, "a zstd frame of too little", zstd: true) { PackedBytes.zstd(7, count: 4000) },
  ]

  private static let extended: [HostileRow] = [
    (75, "a subcluster that is allocated and zero"), (76, "compressed with a subcluster bitmap"),
  ].map { (number: Int, name: String) in
    HostileRow(number, name, .refused(["extended L2"]), Shape(clusterSize: 65_536)) {
      $0.put64(16, at: 72)
      $0.put64(number == 75 ? 1 << 32 | 1 : .max, at: $0.l2Offset + 8)
      if number == 76 { $0.put64(1 << 62 | 4096, at: $0.l2Offset) }
    }
  }

  private static let lengths: [HostileRow] = [
    HostileRow(81, "a file cut off at the L1 table", .refused(["l1_table_offset"])) {
      $0.bytes.removeLast($0.bytes.count - $0.l1Offset)
    },
    HostileRow(81, "a file without its last byte", .opens) { $0.bytes.removeLast() },
    HostileRow(82, "a sparse file of 1 TiB", .opens, files: { $0.length = 1 << 40 }),
    HostileRow(
      83, "an empty disk of 64 PiB", .opens,
      Shape(clusterSize: 2 << 20, size: 64 << 50, isFilled: false), image: { _ in }),
  ]

  private static let snapshots: [HostileRow] =
    [(36, UInt32.max), (36, 1025), (12, .max), (32, .max), (8, .max)].map {
      (field: Int, value: UInt32) in
      HostileRow(84, "\(value) at byte \(field) of a snapshot's entry", .answered(["napshot"])) {
        let entry = $0.addSnapshot()
        $0.put32(value, at: entry + field)
      }
    }
    + [1, 512, 1 << 40, .max].map { (offset: UInt64) in
      HostileRow(84, "a snapshot's L1 table at \(offset)", .answered(["napshot"])) {
        let entry = $0.addSnapshot()
        $0.put64(offset, at: entry)
      }
    }

  private static let bitmaps: [HostileRow] = [
    bitmap("a directory past the end") { image, _ in
      let start = image.extensionsOffset
      image.put64(1 << 40, at: start + 24)
    },
    bitmap("a directory of 2^63 bytes") { image, _ in
      let start = image.extensionsOffset
      image.put64(1 << 63, at: start + 16)
    },
    bitmap("a table past the end") { $0.put64(1 << 40, at: $1) },
    bitmap("a table of 32 GiB") { $0.put32(.max, at: $1 + 8) },
    bitmap("a granularity of 2^255") { $0.put(UInt8.max, at: $1 + 17) },
    bitmap("a name past the directory") { $0.put(UInt16.max, at: $1 + 18) },
    bitmap("extra data past the directory") { $0.put32(.max, at: $1 + 20) },
  ]

  private static func bitmap(
    _ name: String, _ change: @escaping @Sendable (inout HostileImage, Int) -> Void
  ) -> HostileRow {
    HostileRow(85, name, .readOnly(["bitmap"])) {
      let directory = $0.addBitmap()
      change(&$0, directory)
    }
  }
}
