import BlockCore
import BlockIO

extension Qcow2Check {
  /// Counts the header, the L1 tables, the snapshots' table and the refcount table.
  mutating func countFixedStructures() {
    countExclusive(0, bytes: geometry.clusterSize)
    countExclusive(header.l1Offset, bytes: header.l1Bytes)
    for table in snapshotTables { countExclusive(table.lower, bytes: table.length) }
    countExclusive(header.snapshotsOffset, bytes: snapshotTableBytes)
    countExclusive(header.refcountTableOffset, bytes: header.refcountTableBytes)
  }

  /// Counts metadata that nothing else may share.
  private mutating func countExclusive(_ offset: Int, bytes count: Int) {
    reference(offset, bytes: count)
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
    countExclusive(offset, bytes: bytes)
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
      countExclusive(table, bytes: entries * 8)
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
    let count = min(table.length - position, Qcow2Check.readBytes)
    try read(table.lower + position, count: count)
    let words = buffer.withBytes(0..<count) { bytes in
      (0..<count / 8).map { bytes.bigEndian(UInt64.self, at: $0 * 8) }
    }
    for word in words where word != 0 {
      let offset = Int(word & 0x00ff_ffff_ffff_fe00)
      // Without a cluster, bit 0 says that all bits are ones.
      let reserved: UInt64 = offset == 0 ? 0xff00_0000_0000_01fe : 0xff00_0000_0000_01ff
      guard word & reserved == 0, geometry.offsetInCluster(offset) == 0 else {
        result.note(\.corruptions, "ERROR bitmap table entry \(hex(word)) is corrupt")
        continue
      }
      if offset > 0 { reference(offset, bytes: geometry.clusterSize) }
    }
    return position + count < table.length ? position + count : nil
  }

  /// Counts the refcount blocks, which nothing else may share, from byte `position` of their table
  /// on. Returns where to go on, nil at the end.
  mutating func countBlocks(from position: Int) throws(BlockError) -> Int? {
    let count = min(header.refcountTableBytes - position, Qcow2Check.readBytes)
    let words = try words(at: header.refcountTableOffset + position, count: count / 8)
    for (index, word) in words.enumerated() where word != 0 {
      countBlock(position / 8 + index, RefcountTableEntry(word: word))
    }
    return position + count < header.refcountTableBytes ? position + count : nil
  }

  /// Whether the entry is that of a block that can be read; such a block was counted.
  func isSound(_ entry: RefcountTableEntry) -> Bool {
    !entry.hasReservedBits && entry.blockOffset < fileBytes && entry.blockOffset > 0
      && geometry.offsetInCluster(entry.blockOffset) == 0
  }

  private mutating func countBlock(_ index: Int, _ entry: RefcountTableEntry) {
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
    reference(offset, bytes: geometry.clusterSize)
    let count = counts[offset >> geometry.clusterBits]
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
      let end = geometry.clusters(for: range.upper)
      for cluster in range.lower >> geometry.clusterBits..<end {
        try checkOverlap(cluster, uses: 1)
      }
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
