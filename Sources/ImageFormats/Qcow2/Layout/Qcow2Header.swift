package import BlockCore

/// The fixed header of an image (specification, "Header"), checked, with its extensions and the
/// backing file's name.
///
/// Isolation: value.
package struct Qcow2Header: Hashable, Sendable {
  /// "QFI\xfb".
  package static let magic: UInt32 = 0x5146_49fb
  /// Bytes of a version 2 header, and of a version 3 header as this program writes it.
  package static let version2Length = 72
  package static let version3Length = 112

  /// 2 or 3.
  package var version: Int
  /// The cluster's and the refcounts' widths.
  package var geometry: ClusterGeometry
  /// "Virtual disk size in bytes."
  package var size: Int
  /// "Number of entries in the active L1 table."
  package var l1Entries: Int
  /// "Offset into the image file at which the active L1 table starts."
  package var l1Offset: Int
  /// "Offset into the image file at which the refcount table starts."
  package var refcountTableOffset: Int
  /// "Number of clusters that the refcount table occupies."
  package var refcountTableClusters: Int
  /// Why there is no refcount table where the header says: then the image can only be read, and
  /// the two fields above are 0.
  package var refcountFault: BlockError?
  /// "Number of snapshots contained in the image", and where their table starts.
  package var snapshotCount: Int
  package var snapshotsOffset: Int
  package var incompatible: IncompatibleFeatures
  package var compatible: CompatibleFeatures
  package var autoclear: AutoclearFeatures
  /// Where the extensions begin; fields past 112 are kept as they are on disk.
  package var headerLength: Int
  package var compression: CompressionType
  /// All extensions in their order on disk, unknown ones included.
  package var extensions: [HeaderExtension]
  /// Where the backing file's name stands; an empty range without one.
  package var backingName: ByteRange
  /// The name's bytes.
  package var backingNameBytes: [UInt8]

  /// Bytes of the L1 table.
  package var l1Bytes: Int { l1Entries * 8 }
  /// Bytes of the refcount table.
  package var refcountTableBytes: Int { refcountTableClusters << geometry.clusterBits }

  /// Where `tableFields` begin.
  package static let tableFieldsOffset = 36
  /// Header bytes 36 to 79 (version 2: to 71): L1 table, refcount table, snapshots, and the
  /// incompatible features. They lie in one sector, so that they change together.
  package var tableFields: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: version >= 3 ? 44 : 36)
    bytes.withMutableBytes {
      $0.setBigEndian(UInt32(l1Entries), at: 0)
      $0.setBigEndian(UInt64(l1Offset), at: 4)
      $0.setBigEndian(UInt64(refcountTableOffset), at: 12)
      $0.setBigEndian(UInt32(refcountTableClusters), at: 20)
      $0.setBigEndian(UInt32(snapshotCount), at: 24)
      $0.setBigEndian(UInt64(snapshotsOffset), at: 28)
      if version >= 3 { $0.setBigEndian(incompatible.rawValue, at: 36) }
    }
    return bytes
  }

  /// The data of the extension `type`.
  package func extensionData(_ type: UInt32) -> [UInt8]? {
    extensions.first { $0.type == type }?.data
  }
  /// The backing file with its declared format.
  package var backingLink: BackingLink? {
    guard !backingName.isEmpty else { return nil }
    let format = extensionData(HeaderExtension.backingFormat)
    return BackingLink(
      bytes: backingNameBytes, format: format.map { String(decoding: $0, as: UTF8.self) })
  }
  /// Number of persistent bitmaps, as their extension says.
  package var bitmapCount: Int {
    guard let data = extensionData(HeaderExtension.bitmaps), data.count >= 4 else { return 0 }
    return data.withBytes { Int($0.bigEndian(UInt32.self, at: 0)) }
  }
  /// Extensions that this program does not know; what they refer to in the file is unknown too.
  package var hasUnknownExtensions: Bool {
    let known: Set<UInt32> = [
      HeaderExtension.backingFormat, HeaderExtension.featureNames, HeaderExtension.bitmaps,
    ]
    return extensions.contains { !known.contains($0.type) }
  }
}

/// The method of compressed clusters (header byte 104).
///
/// Isolation: value.
package enum CompressionType: UInt8, Sendable {
  case zlib = 0
  case zstd = 1

  /// The name as `qemu-img info` prints it.
  package var name: String {
    switch self {
    case .zlib: "zlib"
    case .zstd: "zstd"
    }
  }
}
