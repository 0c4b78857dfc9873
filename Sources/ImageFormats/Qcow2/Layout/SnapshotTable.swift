import BlockCore
import BlockIO

/// The internal snapshots of an image (specification, "Snapshots"): here only what is shown to
/// people; `SnapshotPlaces` knows where no write may land for their sake.
///
/// Isolation: value.
struct SnapshotTable {
  /// The snapshots' names, as they are, up to `Limits.shownSnapshotBytes`; bytes that are not UTF-8
  /// are escaped.
  private(set) var names: [String] = []
  /// What is wrong with the first entry that is damaged, if one is. Where the next would begin is
  /// not known then, so that there are the names of those before it.
  private(set) var damage: String?

  /// What is shown of a name; QEMU keeps no more of it.
  private static let mostNameBytes = 255

  /// Reads the table entry by entry, as far as it is shown. Throws what reading the file throws.
  init(_ header: Qcow2Header, _ io: MetadataIO) throws(BlockError) {
    do {
      try readNames(header, io)
    } catch let error where error.code == .invalidImage {
      damage = error.message
    }
  }

  private mutating func readNames(_ header: Qcow2Header, _ io: MetadataIO) throws(BlockError) {
    var offset = header.snapshotsOffset
    var room = Limits.shownSnapshotBytes
    for index in 0..<header.snapshotCount {
      let fixed = try SnapshotTable.bytes(
        io, at: offset, count: SnapshotEntry.fixedLength, index)
      let entry = fixed.withBytes { SnapshotEntry($0) }
      guard entry.extraLength <= Limits.snapshotExtraBytes else {
        throw BlockError(
          .invalidImage,
          "Snapshot \(index) has \(entry.extraLength) bytes of extra data (at most 1024)",
          file: io.storage.name, offset: offset + 36)
      }
      let nameOffset = offset + entry.length - entry.nameLength
      let shown = min(entry.nameLength, SnapshotTable.mostNameBytes)
      let name = try SnapshotTable.bytes(io, at: nameOffset, count: shown, index)
      room -= shown + 16
      if room < 0 { return }
      names.append(PrintableText.forPrograms(name))
      offset = (offset + entry.length).roundedUp(to: 8)
      guard offset - header.snapshotsOffset <= Limits.snapshotTableBytes else {
        throw BlockError(
          .invalidImage, "The snapshot table is larger than 64 MiB", file: io.storage.name)
      }
    }
  }

  private static func bytes(
    _ io: MetadataIO, at offset: Int, count: Int, _ index: Int
  ) throws(BlockError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    if count == 0 { return bytes }
    let got = try bytes.withMutableBytes { (target) throws(BlockError) in
      try io.storage.read(into: &target, at: offset)
    }
    guard got == count else {
      throw BlockError(
        .invalidImage, "Snapshot \(index) lies past the end of the file", file: io.storage.name,
        offset: offset)
    }
    return bytes
  }
}

extension Qcow2State {
  /// See `ImageDriver.info`.
  func info() throws(BlockError) -> ImageInfo {
    var info = ImageInfo(
      format: "qcow2", virtualSize: header.size, clusterSize: geometry.clusterSize,
      backing: header.backingLink)
    let snapshots = try SnapshotTable(header, io)
    info.snapshots = snapshots.names
    info.snapshotCount = header.snapshotCount
    info.snapshotDamage = snapshots.damage
    info.qcow2 = Qcow2Info(
      version: header.version, refcountBits: geometry.refcountBits,
      compressionType: header.compression.name,
      isLazyRefcounts: header.compatible.contains(.lazyRefcounts),
      isDirty: header.incompatible.contains(.dirty),
      isCorrupt: header.incompatible.contains(.corrupt), hasExtendedL2: false,
      bitmapCount: header.bitmapCount)
    return info
  }
}
