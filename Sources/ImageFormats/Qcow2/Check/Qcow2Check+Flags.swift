import BlockCore

extension Qcow2Check {
  private static var copied: UInt64 { 1 << 63 }
  /// L2 tables that one step looks at.
  private static var tablesPerStep: Int { 16 }

  /// Whether the active L1 table may be changed: no other metadata lie in its clusters.
  var isL1Sound: Bool {
    guard header.l1Bytes > 0, activeL1.upper <= fileBytes,
      exclusive.count(where: { isIn($0, activeL1) }) == 1
    else { return false }
    let first = geometry.cluster(at: activeL1.lower).index
    return (first..<geometry.clusters(for: activeL1.upper)).allSatisfy {
      counts[$0] == 1 || use(ofTable: $0) == nil
    }
  }

  /// Whether the two touch the same cluster.
  private func isIn(_ range: ByteRange, _ other: ByteRange) -> Bool {
    range.widened(to: geometry.clusterSize).overlaps(other.widened(to: geometry.clusterSize))
  }

  /// Repairs entries of the active tables from L1 entry `index` on. Returns where to go on, nil at
  /// the end; counts in `changes`.
  mutating func correctEntries(
    _ repair: EntryRepair, from index: Int, _ changes: inout EntryChanges
  ) throws(BlockError) -> Int? {
    let count = min(header.l1Entries - index, TableWindow.entries)
    let words = try words(at: header.l1Offset + index * 8, count: count)
    var looked = 0
    for (place, word) in words.enumerated() where word != 0 {
      if looked == Qcow2Check.tablesPerStep { return index + place }
      let entry = L1Entry(word: word)
      if case .flags(writesL1: true) = repair, !entry.isEmpty,
        try entry.isCopied != isOwned(entry.tableOffset)
      {
        try io.writeWords(
          [word ^ Qcow2Check.copied], .l1Table, at: header.l1Offset + (index + place) * 8)
        changes.flags += 1
      }
      // However many name it, once.
      guard isSoundTable(entry), let use = use(ofTable: entry.tableOffset >> geometry.clusterBits),
        !tables[use].isRepaired
      else { continue }
      tables[use].isRepaired = true
      looked += 1
      try correctEntries(repair, ofTableAt: entry.tableOffset, &changes)
    }
    return index + count < header.l1Entries ? index + count : nil
  }

  /// Whether the entry names a table that may be changed: it is known as one, and no other metadata
  /// lie there. (A refcount block that lies there has been replaced.)
  private func isSoundTable(_ entry: L1Entry) -> Bool {
    let offset = entry.tableOffset
    guard offset > 0, geometry.offsetInCluster(offset) == 0,
      offset + geometry.clusterSize <= fileBytes,
      let use = use(ofTable: offset >> geometry.clusterBits)
    else { return false }
    let table = ByteRange(at: offset, length: geometry.clusterSize)
    return tables[use].total == counts[offset >> geometry.clusterBits]
      || !exclusive.contains { isIn($0, table) }
  }

  /// Which one the L2 table in `cluster` is; nil where there is none.
  private func use(ofTable cluster: Int) -> Int? {
    var (low, high) = (0, tables.count)
    while low < high {
      let middle = (low + high) / 2
      if Int(tables[middle].cluster) < cluster { low = middle + 1 } else { high = middle }
    }
    return low < tables.count && Int(tables[low].cluster) == cluster ? low : nil
  }

  /// Whether the cluster at `offset` has a refcount of exactly 1 by now. Past the file's end that
  /// is what is stored, and nothing once the refcounts were built anew.
  private mutating func isOwned(_ offset: Int) throws(BlockError) -> Bool {
    let cluster = offset >> geometry.clusterBits
    if offset < fileBytes { return counts[cluster] == 1 }
    if isRebuilt { return false }
    return try storedRefcount(cluster) == 1
  }

  private mutating func correctEntries(
    _ repair: EntryRepair, ofTableAt table: Int, _ changes: inout EntryChanges
  ) throws(BlockError) {
    let all = ByteRange(at: table, length: geometry.clusterSize)
    var position = 0
    while let data = try nextData(of: all, from: position) {
      let slices = ByteRange(from: data.lower - table, to: data.upper - table)
        .widened(to: geometry.sliceBytes)
      for part in stride(from: slices.lower, to: slices.upper, by: geometry.sliceBytes) {
        try correctEntries(repair, ofSliceAt: table + part, &changes)
      }
      position = slices.upper
    }
  }

  private mutating func correctEntries(
    _ repair: EntryRepair, ofSliceAt place: Int, _ changes: inout EntryChanges
  ) throws(BlockError) {
    var words = try words(at: place, count: geometry.sliceBytes / 8)
    var isChanged = false
    for (index, word) in words.enumerated() where word != 0 {
      let entry = L2Entry(word: word)
      let offset = entry.clusterOffset
      if entry.isCompressed || offset == 0 { continue }
      let isAligned = geometry.offsetInCluster(offset) == 0
      switch repair {
      case .zeros:
        guard !isAligned, entry.isZero, header.version >= 3 else { continue }
        words[index] = L2Entry.plainZero.word
        changes.zeroed += 1
      case .flags:
        guard isAligned, try entry.isCopied != isOwned(offset) else { continue }
        words[index] = word ^ Qcow2Check.copied
        changes.flags += 1
      }
      isChanged = true
    }
    if isChanged { try io.writeWords(words, .l2Table, at: place) }
  }
}

/// What is to be repaired in entries of L1 and L2 tables.
///
/// Isolation: value.
enum EntryRepair {
  /// Entries for zeros lose a cluster that is not aligned: they read zero with it or without.
  case zeros
  /// COPIED is set where there is one reference, and cleared where there are more; the stored
  /// refcounts are the references by now. `writesL1` is `isL1Sound`.
  case flags(writesL1: Bool)
}

/// What the correction of entries has changed.
///
/// Isolation: value.
struct EntryChanges {
  /// COPIED flags.
  var flags = 0
  /// Entries for zeros that have no cluster any more.
  var zeroed = 0
}
