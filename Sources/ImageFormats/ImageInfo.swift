/// What people and clients are told about an open image (`qemu-img info`'s facts).
///
/// Isolation: value.
package struct ImageInfo: Sendable {
  /// `qcow2` or `raw`.
  package var format: String
  /// The guest disk's length in bytes.
  package var virtualSize: Int
  /// The allocation unit; nil where the format has none.
  package var clusterSize: Int?
  /// The backing file as the image names it.
  package var backing: BackingLink?
  /// Names of internal snapshots, the first ones where they are very many.
  package var snapshots: [String] = []
  /// How many internal snapshots there are.
  package var snapshotCount = 0
  /// What is wrong with the first snapshot that is damaged; it and those behind it have no names.
  package var snapshotDamage: String?
  /// Facts of qcow2 alone; nil for other formats.
  package var qcow2: Qcow2Info?

  package init(format: String, virtualSize: Int, clusterSize: Int?, backing: BackingLink?) {
    self.format = format
    self.virtualSize = virtualSize
    self.clusterSize = clusterSize
    self.backing = backing
  }
}

/// What only a qcow2 image has to tell.
///
/// Isolation: value.
package struct Qcow2Info: Sendable {
  /// 2 or 3.
  package var version: Int
  /// 1 to 64.
  package var refcountBits: Int
  /// `zlib` or `zstd`.
  package var compressionType: String
  package var isLazyRefcounts: Bool
  package var isDirty: Bool
  package var isCorrupt: Bool
  package var hasExtendedL2: Bool
  package var bitmapCount: Int
}
