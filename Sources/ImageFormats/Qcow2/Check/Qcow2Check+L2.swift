import BlockCore
import BlockIO

extension L2Entry {
  /// Whether bits of a standard entry are set that have no meaning.
  fileprivate var hasReservedBits: Bool { word & 0x3f00_0000_0000_01fe != 0 }
}

/// How often the entries of a table count: once for each L1 entry that names it.
///
/// Isolation: value.
struct TableWeight {
  /// In the active tables.
  var active: Int
  /// In all tables.
  var total: UInt32
}

/// Entries for clusters that lie one behind the other, alike but for that.
///
/// Isolation: value.
private struct EntryRun {
  var first: L2Entry
  var count: Int
}

extension Qcow2Check {
  /// Counts what L2 tables refer to, from the list's entry `index` on: those that lie together are
  /// read together. Returns where to go on.
  mutating func countTables(from index: Int) throws(BlockError) -> Int {
    let size = geometry.clusterSize
    let first = Int(tables[index].cluster)
    var end = index + 1
    while end < tables.count, Int(tables[end].cluster) == first + (end - index),
      (end - index + 1) * size <= Qcow2Check.readBytes
    {
      end += 1
    }
    let all = ByteRange(at: first * size, length: (end - index) * size)
    var walk = TableWalk(weight: weight(of: tables[index]))
    var table = index
    var position = 0
    while let part = try nextPart(of: all, from: position) {
      try read(part.lower, count: part.length)
      // Each table in the part by itself.
      var rest = part
      while !rest.isEmpty {
        let place = rest.lower - all.lower
        if place / size != table - index {
          table = index + place / size
          walk = TableWalk(weight: weight(of: tables[table]))
        }
        let length = min(rest.length, size - place % size)
        try count(rest.lower - part.lower..<rest.lower - part.lower + length, &walk)
        rest = rest.dropping(length)
      }
      position = part.upper - all.lower
    }
    return end
  }

  /// Counts what the tables refer to that do not begin on a cluster.
  mutating func countStrayTables() throws(BlockError) {
    for stray in strayTables {
      try reference(stray.offset, bytes: geometry.clusterSize)
      tableBudget -= geometry.clusterSize
      if tableBudget < 0 { continue }
      try countTable(
        at: stray.offset, TableWeight(active: stray.isActive ? 1 : 0, total: 1))
    }
  }

  private func weight(of use: TableUse) -> TableWeight {
    TableWeight(active: Int(use.active), total: use.total)
  }

  /// Counts what one table refers to, piece by piece.
  private mutating func countTable(at offset: Int, _ weight: TableWeight) throws(BlockError) {
    var walk = TableWalk(weight: weight)
    let table = ByteRange(at: offset, length: geometry.clusterSize)
    var position = 0
    while let part = try nextPart(of: table, from: position) {
      try read(part.lower, count: part.length)
      try count(0..<part.length, &walk)
      position = part.upper - table.lower
    }
  }

  /// Counts what the entries in this part of the buffer refer to.
  private mutating func count(
    _ part: Range<Int>, _ walk: inout TableWalk
  ) throws(BlockError) {
    let buffer = buffer
    let step = UInt64(geometry.clusterSize)
    try buffer.withBytes(part) { (bytes) throws(BlockError) in
      let end = bytes.byteCount
      var position = 0
      while position < end {
        let word: UInt64 = bytes.bigEndian(at: position)
        position += 8
        if word == 0 { continue }
        var run = EntryRun(first: L2Entry(word: word), count: 1)
        if run.first.isCompressed {
          counts.noteEntries(1)
          try countCompressed(run.first, &walk)
          continue
        }
        while position < end,
          bytes.bigEndian(UInt64.self, at: position) == word &+ step &* UInt64(run.count)
        {
          run.count += 1
          position += 8
        }
        counts.noteEntries(run.count)
        try countStandard(run, &walk)
      }
    }
  }

  private mutating func countCompressed(
    _ entry: L2Entry, _ walk: inout TableWalk
  ) throws(BlockError) {
    let cluster = CompressedCluster(word: entry.word, geometry)
    if entry.isCopied {
      result.note(
        \.corruptions, times: Int(walk.weight.total),
        "ERROR: coffset=\(hex(cluster.offset)): copied flag must never be set for compressed "
          + "clusters")
    }
    try reference(cluster.offset, bytes: cluster.length, times: walk.weight.total)
    result.allocatedClusters += walk.weight.active
    result.compressedClusters += walk.weight.active
    // They lie anywhere in their cluster, so each counts as apart from its neighbour.
    result.fragmentedClusters += walk.weight.active
  }

  private mutating func countStandard(
    _ run: EntryRun, _ walk: inout TableWalk
  ) throws(BlockError) {
    let entry = run.first
    let weight = walk.weight
    let times = Int(weight.total)
    if entry.hasReservedBits {
      result.note(
        \.corruptions, times: times * run.count,
        "ERROR found l2 entry with reserved bits set: \(String(entry.word, radix: 16))")
    }
    if entry.isZero && header.version < 3 {
      result.note(
        \.corruptions, times: times * run.count,
        "ERROR found l2 entry with the zero flag, which version 2 does not know: "
          + String(entry.word, radix: 16))
    }
    let offset = entry.clusterOffset
    if offset == 0 {
      // Only the first of a run can have no cluster.
      if run.count > 1 { try countStandard(run.dropFirst(geometry), &walk) }
      return
    }
    let length = run.count << geometry.clusterBits
    result.allocatedClusters += weight.active * run.count
    if walk.next != 0, walk.next != offset { result.fragmentedClusters += weight.active }
    walk.next = offset + length
    guard geometry.offsetInCluster(offset) == 0 else {
      if entry.isZero && header.version >= 3 { unalignedZeros += run.count }
      result.note(
        \.corruptions, times: times * run.count,
        "ERROR offset=\(String(offset, radix: 16)): "
          + (entry.isZero ? "Preallocated cluster" : "Data cluster")
          + " is not properly aligned; L2 entry corrupted.")
      for index in 0..<run.count { try countAlone(entry, index, weight) }
      return
    }
    let inside = min(run.count, geometry.clusters(for: max(0, fileBytes - offset)))
    let first = offset >> geometry.clusterBits
    if inside > 0 { try self.count(first, count: inside, times: weight.total) }
    try checkFlags(entry, first, count: inside, weight)
    for index in inside..<run.count { try countAlone(entry, index, weight) }
  }

  /// Counts entry `index` of a run by itself: one that is unaligned, or lies past the file's end.
  private mutating func countAlone(
    _ first: L2Entry, _ index: Int, _ weight: TableWeight
  ) throws(BlockError) {
    let offset = first.clusterOffset + index << geometry.clusterBits
    try reference(offset, bytes: geometry.clusterSize, times: weight.total)
    let cluster = offset >> geometry.clusterBits
    if weight.active > 0, try isWrong(copied: first.isCopied, for: cluster) {
      try noteWrongFlag(first, index, weight.active)
    }
  }

  /// Holds the COPIED flags of a run against the stored refcounts.
  private mutating func checkFlags(
    _ entry: L2Entry, _ first: Int, count: Int, _ weight: TableWeight
  ) throws(BlockError) {
    guard weight.active > 0, count > 0 else { return }
    let ones = counts.storedOnes(first, count: count)
    if ones == (entry.isCopied ? count : 0) { return }
    for index in 0..<count where try isWrong(copied: entry.isCopied, for: first + index) {
      try noteWrongFlag(entry, index, weight.active)
    }
  }

  private mutating func noteWrongFlag(
    _ first: L2Entry, _ index: Int, _ times: Int
  ) throws(BlockError) {
    let word = first.word &+ UInt64(index) << UInt64(geometry.clusterBits)
    let cluster = L2Entry(word: word).clusterOffset >> geometry.clusterBits
    wrongFlags += times
    let stored = result.wantsFindings ? try storedRefcount(cluster) ?? 0 : 0
    result.note(
      \.corruptions, times: times,
      "ERROR OFLAG_COPIED data cluster: l2_entry=\(String(word, radix: 16)) refcount=\(stored)")
  }
}

/// The walk through one table.
///
/// Isolation: value.
private struct TableWalk {
  let weight: TableWeight
  /// Where the next cluster lies if it follows its neighbour; 0 before the first.
  var next = 0
}

extension EntryRun {
  /// The run without its first entry.
  fileprivate func dropFirst(_ geometry: ClusterGeometry) -> EntryRun {
    EntryRun(
      first: L2Entry(word: first.word &+ UInt64(geometry.clusterSize)), count: count - 1)
  }
}
