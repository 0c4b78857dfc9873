import BlockCore
import BlockIO

extension Qcow2Check {
  /// Unaligned tables that are counted; any more are only reported.
  private static var mostStrayTables: Int { 4096 }

  /// The active L1 table.
  var activeL1: ByteRange { ByteRange(at: header.l1Offset, length: header.l1Bytes) }

  /// Counts what an L1 table refers to, from byte `position` of it on. Returns where to go on, nil
  /// at the end.
  mutating func countL1(
    _ table: ByteRange, from position: Int, isActive: Bool
  ) throws(BlockError) -> Int? {
    guard let part = try nextPart(of: table, from: position) else { return nil }
    let first = (part.lower - table.lower) / 8
    let words = try words(at: part.lower, count: part.length / 8)
    for (index, word) in words.enumerated() where word != 0 {
      let entry = L1Entry(word: word)
      counts.noteEntries(1)
      try count(entry, isActive: isActive)
      if isActive { try checkFlag(entry, index: first + index) }
    }
    return part.upper < table.upper ? part.upper - table.lower : nil
  }

  /// Holds the COPIED flag of an active entry against the stored refcount.
  private mutating func checkFlag(_ entry: L1Entry, index: Int) throws(BlockError) {
    let cluster = entry.tableOffset >> geometry.clusterBits
    guard entry.tableOffset > 0, try isWrong(copied: entry.isCopied, for: cluster) else { return }
    wrongFlags += 1
    let stored = result.wantsFindings ? try storedRefcount(cluster) ?? 0 : 0
    result.note(
      \.corruptions,
      "ERROR OFLAG_COPIED L2 cluster: l1_index=\(index) l1_entry=\(String(entry.word, radix: 16)) "
        + "refcount=\(stored)")
  }

  /// Counts the reference of one L1 entry.
  private mutating func count(_ entry: L1Entry, isActive: Bool) throws(BlockError) {
    let offset = entry.tableOffset
    if entry.hasReservedBits {
      result.note(
        \.corruptions,
        "ERROR found L1 entry with reserved bits set: \(String(entry.word, radix: 16))")
    }
    guard offset > 0 else {
      return result.note(
        \.corruptions, "ERROR L1 entry \(String(entry.word, radix: 16)) names no table")
    }
    guard geometry.offsetInCluster(offset) == 0 else {
      // Counted later: what has references so far is taken for a table.
      if strayTables.count < Qcow2Check.mostStrayTables {
        strayTables.append(StrayTable(offset: offset, isActive: isActive))
      }
      return result.note(
        \.corruptions,
        "ERROR l2_offset=\(hex(offset)): Table is not cluster aligned; L1 entry corrupted")
    }
    try reference(offset, bytes: geometry.clusterSize)
    if offset < fileBytes, offset + geometry.clusterSize > fileBytes {
      result.note(
        \.corruptions, "ERROR l2_offset=\(hex(offset)): the file ends inside the table")
    }
  }

  /// Lists the L2 tables that have references so far: before anything else is counted, those are
  /// the L1 entries that name them.
  mutating func listTables(ofSnapshots: Bool) {
    var list: [TableUse] = []
    var known = tables[...]
    let (size, end) = (geometry.clusterSize, fileBytes)
    // Millions of them can be named: a list that doubles as it grows would take twice as much.
    var listed = 0
    counts.forEachCounted { (cluster, _) in if cluster * size < end { listed += 1 } }
    list.reserveCapacity(listed)
    counts.forEachCounted { (cluster, count) in
      guard cluster * size < end else { return }
      var use = TableUse(cluster: UInt32(cluster), active: 0, total: count)
      if !ofSnapshots {
        use.active = count
      } else if let first = known.first, first.cluster == use.cluster {
        use.active = first.active
        known.removeFirst()
      }
      list.append(use)
    }
    tables = list
  }
}
