package import BlockCore

extension Qcow2Header {
  /// Reads and checks the header from the image's first cluster.
  ///
  /// - Parameters:
  ///   - bytes: the file's beginning: its first cluster, or less where the file is shorter.
  ///   - fileSize: the file's length, which bounds every table.
  ///   - file: the name for errors.
  ///   - forCheck: take a header that only a repair can make whole: one without a refcount table.
  /// - Throws: `invalidImage` or `unsupported`, naming the field and its value.
  package init(
    decoding bytes: [UInt8], fileSize: Int, file: String, forCheck: Bool = false
  ) throws(BlockError) {
    let reader = HeaderReader(bytes: bytes, file: file)
    try reader.requireMagic()
    let version = Int(try reader.field("version", UInt32.self, at: 4))
    guard version == 2 || version == 3 else {
      throw reader.invalid("version", version, "is not 2 or 3", at: 4)
    }
    self.version = version
    if version == 3 {
      incompatible = .init(rawValue: try reader.field("incompatible_features", at: 72))
      compatible = .init(rawValue: try reader.field("compatible_features", at: 80))
      autoclear = .init(rawValue: try reader.field("autoclear_features", at: 88))
      headerLength = Int(try reader.field("header_length", UInt32.self, at: 100))
    } else {
      incompatible = []
      compatible = []
      autoclear = []
      headerLength = Qcow2Header.version2Length
    }
    geometry = try reader.geometry(version: version)
    try reader.requireHeaderLength(headerLength, version: version, geometry)
    size = try reader.size()
    try reader.requireNoEncryption()
    (l1Entries, l1Offset) = try reader.l1Table(size: size, geometry, fileSize: fileSize)
    refcountTableClusters = try reader.refcountTableClusters(geometry, mayBeNone: forCheck)
    do {
      refcountTableOffset = try reader.refcountTableOffset(
        clusters: refcountTableClusters, geometry, fileSize: fileSize)
    } catch {
      // Reading needs no refcounts.
      refcountTableOffset = 0
      refcountTableClusters = 0
      refcountFault = error
    }
    // A check tells of a snapshot table that was lost with the end of the file.
    (snapshotCount, snapshotsOffset) = try reader.snapshots(
      geometry, fileSize: forCheck ? Int.max : fileSize)
    let name = try reader.backingName(headerLength: headerLength, geometry)
    backingName = name
    backingNameBytes = Array(bytes[name.lower..<name.upper])
    let extensionsEnd = min(
      bytes.count, geometry.clusterSize, name.isEmpty ? Int.max : name.lower)
    extensions = try HeaderExtension.decodeAll(
      bytes, from: headerLength, to: max(headerLength, extensionsEnd), file: file)
    compression = try reader.compression(headerLength: headerLength, incompatible)
    try requireSupported(file: file)
  }

  /// Refuses what is not built, by name.
  private func requireSupported(file: String) throws(BlockError) {
    let unknown = incompatible.subtracting(.known)
    if !unknown.isEmpty {
      let names = FeatureNames(extensionData(HeaderExtension.featureNames))
      throw BlockError(
        .unsupported,
        "Unsupported qcow2 feature(s): " + names.describe(incompatible: unknown.rawValue),
        file: file, offset: 72)
    }
    if incompatible.contains(.externalDataFile) {
      throw BlockError(
        .unsupported, "qcow2 external data files are not supported yet", file: file, offset: 72)
    }
    if incompatible.contains(.extendedL2) {
      throw BlockError(
        .unsupported, "qcow2 extended L2 entries are not supported yet", file: file, offset: 72)
    }
    if let format = extensionData(HeaderExtension.backingFormat),
      format.isEmpty || format.count > 255
    {
      throw BlockError(
        .invalidImage, "The backing format's name has \(format.count) bytes", file: file)
    }
    if let bitmaps = extensionData(HeaderExtension.bitmaps) {
      guard bitmaps.count == 24, (1...Limits.bitmaps).contains(bitmapCount) else {
        throw BlockError(
          .invalidImage,
          "The bitmaps extension has \(bitmaps.count) bytes and names \(bitmapCount) bitmaps",
          file: file)
      }
    }
  }
}

/// Reads single fields, each with the check that belongs to it.
private struct HeaderReader {
  let bytes: [UInt8]
  let file: String

  func field<T: FixedWidthInteger & BitwiseCopyable>(
    _ name: String, _ type: T.Type = T.self, at offset: Int
  ) throws(BlockError) -> T {
    guard offset + MemoryLayout<T>.size <= bytes.count else {
      throw BlockError(
        .invalidImage,
        "The file ends at byte \(bytes.count), inside the qcow2 header (\(name))",
        file: file, offset: offset)
    }
    return bytes.withBytes { $0.bigEndian(at: offset) }
  }

  func invalid(
    _ name: String, _ value: some CustomStringConvertible, _ reason: String, at offset: Int
  ) -> BlockError {
    BlockError(
      .invalidImage, "qcow2 header field \(name) = \(value) \(reason)", file: file, offset: offset)
  }

  func requireMagic() throws(BlockError) {
    guard bytes.count >= 4, try field("magic", UInt32.self, at: 0) == Qcow2Header.magic else {
      throw BlockError(.invalidImage, "Image is not in qcow2 format", file: file, offset: 0)
    }
  }

  func geometry(version: Int) throws(BlockError) -> ClusterGeometry {
    let clusterBits = try field("cluster_bits", UInt32.self, at: 20)
    guard (9...21).contains(clusterBits) else {
      throw invalid("cluster_bits", clusterBits, "is not 9 to 21", at: 20)
    }
    var order: UInt32 = 4
    if version == 3 {
      order = try field("refcount_order", at: 96)
      guard order <= 6 else { throw invalid("refcount_order", order, "is above 6", at: 96) }
    }
    return ClusterGeometry(clusterBits: Int(clusterBits), refcountOrder: Int(order))
  }

  func requireHeaderLength(
    _ length: Int, version: Int, _ geometry: ClusterGeometry
  ) throws(BlockError) {
    guard version == 3 else { return }
    guard length >= 104, length.isMultiple(of: 8), length <= geometry.clusterSize else {
      throw invalid(
        "header_length", length, "is not a multiple of 8 from 104 to the cluster size", at: 100)
    }
    _ = try field("header_length", UInt8.self, at: length - 1)
  }

  func size() throws(BlockError) -> Int {
    let size: UInt64 = try field("size", at: 24)
    guard size <= UInt64(Limits.diskBytes) else {
      throw invalid("size", size, "is above 2^63 bytes", at: 24)
    }
    return Int(size)
  }

  func requireNoEncryption() throws(BlockError) {
    switch try field("crypt_method", UInt32.self, at: 32) {
    case 0: return
    case 1: throw BlockError(.unsupported, "AES-encrypted images are not supported", file: file)
    case 2: throw BlockError(.unsupported, "LUKS-encrypted images are not supported", file: file)
    case let method: throw invalid("crypt_method", method, "is unknown", at: 32)
    }
  }

  /// A table's place: aligned, not at the header, inside the file.
  func table(
    _ name: String, offset: UInt64, bytes count: Int, _ geometry: ClusterGeometry, fileSize: Int,
    at position: Int
  ) throws(BlockError) -> Int {
    guard let offset = Int(exactly: offset), offset > 0,
      geometry.offsetInCluster(offset) == 0
    else { throw invalid(name, offset, "is not the offset of a cluster", at: position) }
    guard offset <= fileSize, count <= fileSize - offset else {
      throw invalid(
        name, offset, "with \(count) bytes reaches past the end of the file (\(fileSize) bytes)",
        at: position)
    }
    return offset
  }

  func l1Table(
    size: Int, _ geometry: ClusterGeometry, fileSize: Int
  ) throws(BlockError) -> (Int, Int) {
    let entries = try field("l1_size", UInt32.self, at: 36)
    guard Int(entries) * 8 <= Limits.l1TableBytes else {
      throw invalid("l1_size", entries, "is above the limit of 32 MiB", at: 36)
    }
    guard Int(entries) >= geometry.l1Entries(for: size) else {
      throw invalid(
        "l1_size", entries, "is too small for a disk of \(size) bytes", at: 36)
    }
    let offset: UInt64 = try field("l1_table_offset", at: 40)
    if entries == 0 { return (0, Int(truncatingIfNeeded: offset & 0x00ff_ffff_ffff_fe00)) }
    return (
      Int(entries),
      try table(
        "l1_table_offset", offset: offset, bytes: Int(entries) * 8, geometry, fileSize: fileSize,
        at: 40)
    )
  }

  func refcountTableClusters(
    _ geometry: ClusterGeometry, mayBeNone: Bool
  ) throws(BlockError) -> Int {
    let clusters = try field("refcount_table_clusters", UInt32.self, at: 56)
    guard clusters > 0 || mayBeNone else { throw noRefcountTable }
    guard Int(clusters) <= max(1, Limits.refcountTableBytes >> geometry.clusterBits) else {
      throw invalid("refcount_table_clusters", clusters, "is above the limit of 8 MiB", at: 56)
    }
    return Int(clusters)
  }

  private var noRefcountTable: BlockError {
    invalid("refcount_table_clusters", 0, "says that there are no refcounts", at: 56)
  }

  func refcountTableOffset(
    clusters: Int, _ geometry: ClusterGeometry, fileSize: Int
  ) throws(BlockError) -> Int {
    if clusters == 0 { throw noRefcountTable }
    return try table(
      "refcount_table_offset", offset: try field("refcount_table_offset", at: 48),
      bytes: clusters << geometry.clusterBits, geometry,
      fileSize: fileSize.roundedUp(to: geometry.clusterSize), at: 48)
  }

  func snapshots(
    _ geometry: ClusterGeometry, fileSize: Int
  ) throws(BlockError) -> (Int, Int) {
    let count = try field("nb_snapshots", UInt32.self, at: 60)
    guard Int(count) <= Limits.snapshots else {
      throw invalid("nb_snapshots", count, "is above \(Limits.snapshots)", at: 60)
    }
    let offset: UInt64 = try field("snapshots_offset", at: 64)
    if count == 0 { return (0, 0) }
    // 40 bytes are the least that one entry takes.
    return (
      Int(count),
      try table(
        "snapshots_offset", offset: offset, bytes: Int(count) * 40, geometry, fileSize: fileSize,
        at: 64)
    )
  }

  func backingName(
    headerLength: Int, _ geometry: ClusterGeometry
  ) throws(BlockError) -> ByteRange {
    let offset: UInt64 = try field("backing_file_offset", at: 8)
    if offset == 0 { return ByteRange(at: 0, length: 0) }
    let length = try field("backing_file_size", UInt32.self, at: 16)
    guard Int(length) <= Limits.backingNameBytes else {
      throw invalid("backing_file_size", length, "is above 1023", at: 16)
    }
    let end = min(bytes.count, geometry.clusterSize)
    guard offset >= UInt64(headerLength), offset <= UInt64(end), Int(length) <= end - Int(offset)
    else {
      throw invalid(
        "backing_file_offset", offset, "with \(length) bytes lies outside the first cluster", at: 8)
    }
    return ByteRange(at: Int(offset), length: Int(length))
  }

  func compression(
    headerLength: Int, _ incompatible: IncompatibleFeatures
  ) throws(BlockError) -> CompressionType {
    let raw = headerLength > 104 ? try field("compression_type", UInt8.self, at: 104) : 0
    guard let type = CompressionType(rawValue: raw) else {
      throw invalid("compression_type", raw, "is unknown", at: 104)
    }
    guard (type != .zlib) == incompatible.contains(.compressionType) else {
      throw invalid(
        "compression_type", raw, "does not agree with its incompatible feature bit", at: 104)
    }
    return type
  }
}
