import BlockCore

/// The beginning of an entry of the snapshot table, as it is told (specification, "Snapshots").
///
/// Isolation: value.
struct SnapshotEntry {
  /// "Offset into the image file at which the L1 table for the snapshot starts."
  let l1Offset: UInt64
  /// "Number of entries in the L1 table of the snapshots."
  let l1Entries: Int
  /// "Length of the unique ID string describing the snapshot", in bytes.
  let idLength: Int
  /// "Length of the name of the snapshot", in bytes.
  let nameLength: Int
  /// "Size of extra data in the table entry."
  let extraLength: Int

  /// What comes before the extra data, the ID and the name, in bytes.
  static let fixedLength = 40

  /// The entry at `offset` of `bytes`.
  init(_ bytes: RawSpan, at offset: Int = 0) {
    l1Offset = bytes.bigEndian(UInt64.self, at: offset)
    l1Entries = Int(bytes.bigEndian(UInt32.self, at: offset + 8))
    idLength = Int(bytes.bigEndian(UInt16.self, at: offset + 12))
    nameLength = Int(bytes.bigEndian(UInt16.self, at: offset + 14))
    extraLength = Int(bytes.bigEndian(UInt32.self, at: offset + 36))
  }

  /// The whole entry's length in bytes; the next begins at the next multiple of 8.
  var length: Int { SnapshotEntry.fixedLength + extraLength + idLength + nameLength }
}
