import BlockCore

/// Small valid images of every kind that the engine reads, made by hand and by its own create.
package enum SeedImages {
  /// The images; each has at most 64 KiB, but for one with clusters of 4 KiB.
  package static func all() throws -> [HostileImage] {
    var snapshot = try small()
    _ = snapshot.addSnapshot()
    var bitmap = try small()
    _ = bitmap.addBitmap()
    return [
      try small(), try small(refcountBits: 1), try small(refcountBits: 64), try small(version: 2),
      snapshot, bitmap, try packed(), try packed(zstd: true),
      try HostileImage(clusterSize: 4096, size: 3 << 20),
    ]
  }

  private static func small(version: Int = 3, refcountBits: Int = 16) throws -> HostileImage {
    try HostileImage(version: version, clusterSize: 512, refcountBits: refcountBits, size: 100_000)
  }

  /// An image with compressed clusters.
  package static func packed(zstd: Bool = false) throws -> HostileImage {
    var image = try small()
    for index in [0, 7] {
      image.compress(
        index, as: zstd ? PackedBytes.zstd(9, count: 512) : PackedBytes.deflate(9, count: 512))
    }
    if zstd {
      image.put64(8, at: 72)
      image.put(UInt8(1), at: 104)
    }
    return image
  }
}
