import BlockCore
import BlockIO

extension Qcow2Check {
  /// Extra data that a version 3 snapshot must have: the large VM state size and the disk's size.
  private static var leastExtraBytes: Int { 16 }

  /// Reads the snapshots' table: where their L1 tables are, and how long it is itself.
  mutating func readSnapshots() throws(BlockError) {
    var offset = header.snapshotsOffset
    for index in 0..<header.snapshotCount {
      let fixed = SnapshotEntry.fixedLength
      guard fileBytes - offset >= fixed else { return noteBrokenSnapshot(index) }
      try read(offset, count: fixed)
      let entry = buffer.withBytes(0..<fixed) { SnapshotEntry($0) }
      let end = (offset + entry.length).roundedUp(to: 8)
      // A name may reach past the file's end: so does the table, which is told where it is counted.
      guard entry.extraLength <= Limits.snapshotExtraBytes,
        end - header.snapshotsOffset <= Limits.snapshotTableBytes
      else { return noteBrokenSnapshot(index) }
      if header.version >= 3, entry.extraLength < Qcow2Check.leastExtraBytes {
        result.note(\.corruptions, "ERROR snapshot table entry \(index) is incomplete")
      }
      try noteSnapshotL1(index, entry.l1Offset, entry.l1Entries)
      offset = end
    }
    snapshotTableBytes = offset - header.snapshotsOffset
    // A table that is not counted looks leaked, but for its beginning it is there.
    if offset - fileBytes >= geometry.clusterSize { hasUnknownReferences = true }
  }

  /// What this snapshot and those behind it refer to cannot be known.
  private mutating func noteBrokenSnapshot(_ index: Int) {
    snapshotTableBytes = 0
    hasUnknownReferences = true
    result.note(\.corruptions, "ERROR snapshot table entry \(index) is too large")
  }

  private mutating func noteSnapshotL1(
    _ index: Int, _ l1: UInt64, _ entries: Int
  ) throws(BlockError) {
    let known = snapshotTables.count
    defer { if snapshotTables.count == known { hasUnknownReferences = true } }
    guard let offset = Int(exactly: l1), geometry.offsetInCluster(offset) == 0 else {
      return result.note(
        \.corruptions,
        "ERROR snapshot \(index) l1_offset=\(hex(l1)): L1 table is not cluster aligned; snapshot "
          + "table entry corrupted")
    }
    guard entries * 8 <= Limits.l1TableBytes else {
      return result.note(
        \.corruptions,
        "ERROR snapshot \(index) l1_size=\(hex(entries)): L1 table is too large; snapshot table "
          + "entry corrupted")
    }
    guard entries * 8 <= tableBudget else {
      return result.note(
        \.corruptions, "ERROR snapshot \(index) l1_offset=\(hex(l1)): L1 tables overlap")
    }
    tableBudget -= entries * 8
    l1Clusters += geometry.clusters(for: entries * 8)
    guard l1Clusters <= Limits.checkL1Clusters else {
      throw BlockError(
        .unsupported,
        "The snapshots' L1 tables take more than \(Limits.checkL1Clusters) clusters, the limit of "
          + "a check", file: io.storage.name)
    }
    snapshotTables.append(ByteRange(at: min(offset, Int.max - entries * 8), length: entries * 8))
  }
}
