import BlockCore
import ImageFormats

// Rows 72 to 76 and 81, 83 to 85: compressed data, lengths, snapshots and bitmaps.

extension HostileRow {
  static let contents: [HostileRow] = compressed + extended + lengths + snapshots + bitmaps + vast

  /// Guest cluster 0 compressed, as these bytes; `byte` fills it where they decompress.
  private static func packed(
    _ number: Int, _ name: String, byte: UInt8? = nil, zstd: Bool = false,
    _ bytes: @escaping @Sendable () -> [UInt8]
  ) -> HostileRow {
    // The cluster that it had is leaked.
    let outcome = (byte == nil ? HostileOutcome.unreadable : .opens).checked([3])
    return HostileRow(number, name, outcome) {
      $0.compress(0, as: bytes(), of: byte.map { [UInt8](repeating: $0, count: 4096) })
      if !zstd { return }
      $0.put64(8, at: 72)
      $0.put(UInt8(1), at: 104)
    }
  }

  private static let compressed: [HostileRow] = [
    packed(72, "deflate of exactly one cluster", byte: 7) { PackedBytes.deflate(7, count: 4096) },
    packed(72, "a deflate bomb") {
      // As much as the entry's sector count can say.
      PackedBytes.deflate(7, count: 156_000)
    },
    packed(72, "deflate of one byte too much") { PackedBytes.deflate(7, count: 4097) },
    packed(73, "deflate of too little") { PackedBytes.deflate(7, count: 4095) },
    packed(73, "deflate of which bits are flipped") {
      PackedBytes.deflate(7, count: 4096).map { $0 ^ 0xff }
    },
    packed(73, "deflate that is cut off") {
      Array(PackedBytes.deflate(7, count: 4096).prefix(10)) + [UInt8](repeating: 0, count: 600)
    },
    packed(74, "zstd of exactly one cluster", byte: 7, zstd: true) {
      PackedBytes.zstd(7, count: 4096)
    },
    packed(74, "a zstd frame with a window of 2 TiB", zstd: true) {
      PackedBytes.zstd(7, count: 4096, window: 0xf8)
    },
    packed(74, "a zstd frame of too little", zstd: true) { PackedBytes.zstd(7, count: 4000) },
    packed(74, "a zstd frame of too much", zstd: true) { PackedBytes.zstd(7, count: 5000) },
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
    // It is a byte of data: what a file lacks there reads zero, as everywhere.
    HostileRow(81, "a file without its last byte", .opens) {
      $0.bytes.removeLast()
      $0.owned[11]?[4095] = 0
    },
    // Few file systems hold the base that it would be committed to.
    HostileRow(
      83, "an empty disk of 64 PiB", HostileOutcome(commit: .answers),
      Shape(clusterSize: 2 << 20, size: 64 << 50, isFilled: false), image: { _ in }),
  ]

  /// A snapshot that cannot be used. What it holds is protected by its refcounts, so that the disk
  /// itself can be read and written.
  private static let snapshots: [HostileRow] =
    [(36, UInt32.max), (36, 1025), (12, .max)].map { (field: Int, value: UInt32) in
      // What is to be known of the image names the damage (`SnapshotTests`).
      HostileRow(
        84, "\(value) at byte \(field) of a snapshot's entry", .opens.checked([2]),
        needsFiles: false,
        files: {
          let entry = $0.image.addSnapshot()
          $0.image.put32(value, at: entry + field)
          $0.isComparable = false
        })
    }
    + [(32, UInt32.max, [0]), (8, .max, [2])].map {
      (field: Int, value: UInt32, status: Set<Int32>) in
      HostileRow(
        84, "\(value) at byte \(field) of a snapshot's entry", .opens.checked(status)
      ) {
        let entry = $0.addSnapshot()
        $0.put32(value, at: entry + field)
      }
    }
    + [1, 512, 1 << 40, .max].map { (offset: UInt64) in
      HostileRow(84, "a snapshot's L1 table at \(offset)", .opens.checked([2])) {
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
    // Nobody takes the bitmap's bits for anything here.
    bitmap("a granularity of 2^255", check: [0]) { $0.put(UInt8.max, at: $1 + 17) },
    bitmap("a name past the directory") { $0.put(UInt16.max, at: $1 + 18) },
    bitmap("extra data past the directory") { $0.put32(.max, at: $1 + 20) },
  ]

  private static func bitmap(
    _ name: String, check: Set<Int32> = [2],
    _ change: @escaping @Sendable (inout HostileImage, Int) -> Void
  ) -> HostileRow {
    HostileRow(85, name, .readOnly(["bitmap"], check: check)) {
      let directory = $0.addBitmap()
      change(&$0, directory)
    }
  }
}
