import BlockCore
import BlockIO

extension Qcow2Check {
  /// Counts the header, the L1 tables, the snapshots' table and the refcount table.
  mutating func countFixedStructures() throws(BlockError) {
    try countExclusive(0, bytes: geometry.clusterSize)
    try countExclusive(header.l1Offset, bytes: header.l1Bytes)
    for table in snapshotTables { try countExclusive(table.lower, bytes: table.length) }
    try countExclusive(header.snapshotsOffset, bytes: snapshotTableBytes)
    try countRefcounts(header.refcountTableOffset, bytes: header.refcountTableBytes)
    noteExclusive(header.refcountTableOffset, bytes: header.refcountTableBytes)
  }

  /// Counts metadata that nothing else may share.
  private mutating func countExclusive(_ offset: Int, bytes count: Int) throws(BlockError) {
    try reference(offset, bytes: count)
    noteExclusive(offset, bytes: count)
  }

  private mutating func noteExclusive(_ offset: Int, bytes count: Int) {
    if count > 0, count <= fileBytes - offset {
      exclusive.append(ByteRange(at: offset, length: count))
    }
  }

  /// Counts the bitmaps' directory, and lists their tables. Bitmaps that the header does not call
  /// consistent are no bitmaps any more: what they hold is leaked.
  mutating func readBitmaps() throws(BlockError) {
    guard header.autoclear.contains(.bitmaps),
      let data = header.extensionData(HeaderExtension.bitmaps)
    else { return }
    let (length, start) = data.withBytes {
      ($0.bigEndian(UInt64.self, at: 8), $0.bigEndian(UInt64.self, at: 16))
    }
    guard let offset = Int(exactly: start), let bytes = Int(exactly: length), offset <= fileBytes,
      bytes <= fileBytes - offset, bytes <= Limits.snapshotTableBytes
    else {
      hasUnknownReferences = true
      return result.note(
        \.corruptions, "ERROR bitmap directory offset=\(hex(start)) size=\(hex(length))")
    }
    try countExclusive(offset, bytes: bytes)
    var position = 0
    for index in 0..<header.bitmapCount {
      guard bytes - position >= 24 else { return noteBrokenBitmap(index) }
      try read(offset + position, count: 24)
      let (table, entries, name, extra) = buffer.withBytes(0..<24) { entry in
        (
          entry.bigEndian(UInt64.self, at: 0), Int(entry.bigEndian(UInt32.self, at: 8)),
          Int(entry.bigEndian(UInt16.self, at: 18)), Int(entry.bigEndian(UInt32.self, at: 20))
        )
      }
      position += (24 + name + extra).roundedUp(to: 8)
      guard position <= bytes, let table = Int(exactly: table), table > 0,
        geometry.offsetInCluster(table) == 0, table <= fileBytes,
        entries * 8 <= fileBytes - table, entries * 8 <= tableBudget
      else { return noteBrokenBitmap(index) }
      tableBudget -= entries * 8
      try countExclusive(table, bytes: entries * 8)
      bitmapTables.append(ByteRange(at: table, length: entries * 8))
    }
  }

  private mutating func noteBrokenBitmap(_ index: Int) {
    hasUnknownReferences = true
    result.note(\.corruptions, "ERROR bitmap directory entry \(index) is corrupt")
  }

  /// Counts what a bitmap's table refers to, from byte `position` of it on. Returns where to go on,
  /// nil at the end.
  mutating func countBitmap(
    _ table: ByteRange, from position: Int
  ) throws(BlockError) -> Int? {
    guard let part = try nextPart(of: table, from: position) else { return nil }
    try read(part.lower, count: part.length)
    let words = buffer.withBytes(0..<part.length) { bytes in
      (0..<part.length / 8).map { bytes.bigEndian(UInt64.self, at: $0 * 8) }
    }
    for word in words where word != 0 {
      let offset = Int(word & 0x00ff_ffff_ffff_fe00)
      // Without a cluster, bit 0 says that all bits are ones.
      let reserved: UInt64 = offset == 0 ? 0xff00_0000_0000_01fe : 0xff00_0000_0000_01ff
      guard word & reserved == 0, geometry.offsetInCluster(offset) == 0 else {
        result.note(\.corruptions, "ERROR bitmap table entry \(hex(word)) is corrupt")
        continue
      }
      counts.noteEntries(1)
      if offset > 0 { try reference(offset, bytes: geometry.clusterSize) }
    }
    return part.upper < table.upper ? part.upper - table.lower : nil
  }

  /// Counts the refcount blocks, which nothing else may share, from byte `position` of their table
  /// on. Returns where to go on, nil at the end.
  mutating func countBlocks(from position: Int) throws(BlockError) -> Int? {
    let table = ByteRange(at: header.refcountTableOffset, length: header.refcountTableBytes)
    guard let part = try nextPart(of: table, from: position) else { return nil }
    let first = (part.lower - table.lower) / 8
    let words = try words(at: part.lower, count: part.length / 8)
    for (index, word) in words.enumerated() where word != 0 {
      counts.noteEntries(1)
      try countBlock(first + index, RefcountTableEntry(word: word))
    }
    return part.upper < table.upper ? part.upper - table.lower : nil
  }

  /// Whether the entry is that of a block that can be read; such a block was counted.
  func isSound(_ entry: RefcountTableEntry) -> Bool {
    !entry.hasReservedBits && entry.blockOffset < fileBytes && entry.blockOffset > 0
      && geometry.offsetInCluster(entry.blockOffset) == 0
  }

  private mutating func countBlock(
    _ index: Int, _ entry: RefcountTableEntry
  ) throws(BlockError) {
    let offset = entry.blockOffset
    if entry.hasReservedBits {
      return noteBrokenBlock("ERROR refcount table entry \(index) has reserved bits set")
    }
    if geometry.offsetInCluster(offset) != 0 {
      return noteBrokenBlock(
        "ERROR refcount block \(index) is not cluster aligned; refcount table entry corrupted")
    }
    if offset >= fileBytes {
      return noteBrokenBlock("ERROR refcount block \(index) is outside image")
    }
    try countRefcounts(offset, bytes: geometry.clusterSize)
    let count = Int(counts[offset >> geometry.clusterBits])
    if count != 1 { noteBrokenBlock("ERROR refcount block \(index) refcount=\(count)") }
  }

  private mutating func noteBrokenBlock(_ sentence: @autoclosure () -> String) {
    isStructureBroken = true
    result.note(\.corruptions, sentence())
  }

  /// Reports metadata that is referenced more than once while the stored refcounts say the same:
  /// what else refers to it would be changed with it.
  mutating func checkOverlaps() throws(BlockError) {
    for range in exclusive {
      let first = range.lower >> geometry.clusterBits
      var shared: [Int] = []
      counts.forEachCounted(in: first..<geometry.clusters(for: range.upper)) { (cluster, count) in
        if count > 1 { shared.append(cluster) }
      }
      for cluster in shared { try checkOverlap(cluster, uses: 1) }
    }
    for use in tables { try checkOverlap(Int(use.cluster), uses: use.total) }
  }

  private mutating func checkOverlap(_ cluster: Int, uses: UInt32) throws(BlockError) {
    let count = counts[cluster]
    guard count > uses, try storedRefcount(cluster) == UInt64(count) else { return }
    result.note(
      \.corruptions, "ERROR cluster \(cluster) holds metadata, but has \(count) references")
  }
}
