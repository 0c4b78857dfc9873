import BlockCore

extension Qcow2State {
  /// The end of what a host offset may point to.
  var hostEnd: Int { highWater == Int.max ? fileEnd : max(fileEnd, highWater) }

  /// The L2 table of L1 entry `index`; nil where there is none.
  /// - Throws: `corrupt` for an entry that cannot be a table.
  func tableOffset(l1Index index: Int) throws(BlockError) -> Int? {
    guard index < l1.count else { return nil }
    let entry = L1Entry(word: try l1.word(index, io))
    if entry == .empty { return nil }
    let offset = entry.tableOffset
    guard !entry.hasReservedBits, geometry.offsetInCluster(offset) == 0,
      offset + geometry.clusterSize <= fileEnd,
      fixedMetadata(ClusterRun(first: geometry.cluster(at: offset), count: 1)) == nil
    else {
      throw BlockError(
        .corrupt,
        "L1 entry \(index) = 0x\(String(entry.word, radix: 16)) is not the offset of an L2 table",
        file: name, offset: header.l1Offset + index * 8)
    }
    return offset
  }

  /// What an L2 entry means, checked against the file.
  /// - Throws: `corrupt`, naming the entry by the guest offset that it maps.
  func meaning(of word: UInt64, guest: Int) throws(BlockError) -> L2Entry.Meaning {
    let meaning: L2Entry.Meaning
    do throws(L2EntryFault) {
      meaning = try L2Entry(word: word).meaning(geometry, version: header.version)
    } catch {
      throw damaged(word, guest: guest, error.sentence)
    }
    switch meaning {
    case .data(let offset), .zero(let offset?):
      guard offset < hostEnd else {
        throw damaged(word, guest: guest, "points past the end of the file")
      }
    case .compressed(let cluster):
      guard cluster.offset >= geometry.clusterSize, cluster.offset < hostEnd else {
        throw damaged(word, guest: guest, "points into the header or past the end of the file")
      }
    case .unallocated, .zero(nil): break
    }
    return meaning
  }

  private func damaged(_ word: UInt64, guest: Int, _ sentence: String) -> BlockError {
    BlockError(
      .corrupt, "The L2 entry 0x\(String(word, radix: 16)) for guest offset \(guest) \(sentence)",
      file: name, guestOffset: guest)
  }

  /// How many entries below `end` the one at `index` tells of: they have its flags, and each names
  /// the cluster behind the one before it, or none as it does. What `meaning` says of the first
  /// holds for all, as far as their clusters; a compressed entry speaks for itself alone.
  func runLength(from index: Int, below end: Int, _ word: (Int) -> UInt64) -> Int {
    var next = word(index)
    let entry = L2Entry(word: next)
    if entry.isCompressed { return 1 }
    let step = entry.clusterOffset == 0 ? 0 : UInt64(geometry.clusterSize)
    var most = end - index
    if step > 0 { most = max(1, min(most, geometry.clusters(for: hostEnd - entry.clusterOffset))) }
    var count = 0
    repeat {
      count += 1
      next &+= step
    } while count < most && word(index + count) == next
    return count
  }

  /// The slice and the place in it of the L2 entry for `guest`, in the table at `table`.
  mutating func l2Slice(
    table: Int, guest: Int
  ) throws(BlockError) -> (slice: TableSlice, index: Int) {
    let index = geometry.l2Index(guest)
    let offset = table + index / l2.sliceWords * geometry.sliceBytes
    return (try l2.slice(at: offset, io), index % l2.sliceWords)
  }

  /// The L2 entry for `guest`; zero where there is no table.
  mutating func l2Word(guest: Int) throws(BlockError) -> UInt64 {
    guard let table = try tableOffset(l1Index: geometry.l1Index(guest)) else { return 0 }
    let (slice, index) = try l2Slice(table: table, guest: guest)
    return slice.words[index]
  }

  /// The L2 table of L1 entry `index`, in a cluster that only the active L1 table uses, so that it
  /// may be changed: a new one where there is none, a copy where a snapshot shares it.
  ///
  /// Crash: the new table is a leak until its L1 entry is written (`writeOut`); the old table's
  /// reference goes after that. A snapshot's own table is read, and never written. Tests:
  /// `CrashSmokeTests` (write over a snapshot).
  mutating func writableTable(l1Index index: Int) throws(BlockError) -> Int {
    precondition(index < l1.count)
    let old = try tableOffset(l1Index: index)
    if let old, try L1Entry(word: l1.word(index, io)).isCopied { return old }
    let run = try allocateContiguous(1)
    let offset = geometry.offset(of: run.first)
    do {
      try fillNewTable(run, copying: old)
      try l1.reserve(index, io)
    } catch {
      l2.drop(geometry.bytes(of: run.first, count: 1))
      freeUnreferenced(run)
      throw error
    }
    l1.set(index, to: L1Entry(owned: offset).word)
    noteTable(at: run.first)
    // The snapshot's refcount protects the old table from now on.
    if let old { pendingFrees.append(ClusterRun(first: geometry.cluster(at: old), count: 1)) }
    return offset
  }

  private mutating func fillNewTable(_ run: ClusterRun, copying old: Int?) throws(BlockError) {
    try zeroTable(run, .l2Table)
    let offset = geometry.offset(of: run.first)
    l2.drop(geometry.bytes(of: run.first, count: 1))
    guard let old else { return }
    for part in stride(from: 0, to: geometry.clusterSize, by: geometry.sliceBytes) {
      let words = try l2.slice(at: old + part, io).words
      if words.contains(where: { $0 != 0 }) {
        try l2.insertNew(at: offset + part, words: words, io)
      }
    }
  }
}
