import BlockCore

extension Qcow2State {
  private var words: RefcountWords { RefcountWords(geometry) }
  /// Refcounts in one slice of a block.
  var refcountsPerSlice: Int { refblocks.sliceWords * words.perWord }

  /// Where the block for `cluster` lies; nil where there is none, so that its refcount is zero.
  /// - Throws: `corrupt` for an entry that cannot be a block.
  func refcountBlock(for cluster: HostCluster) throws(BlockError) -> Int? {
    let index = geometry.refcountBlockIndex(cluster)
    guard index < refcountTable.count else { return nil }
    let word = try refcountTable.word(index, io)
    return word == 0 ? nil : try blockOffset(word, entry: index)
  }

  /// Where the block lies that `word`, not zero, at `index` of the refcount table names.
  /// - Throws: `corrupt` for an entry that cannot be a block.
  func blockOffset(_ word: UInt64, entry index: Int) throws(BlockError) -> Int {
    let entry = RefcountTableEntry(word: word)
    let offset = entry.blockOffset
    guard !entry.hasReservedBits, offset != 0, geometry.offsetInCluster(offset) == 0,
      offset < fileEnd
    else {
      throw BlockError(
        .corrupt,
        "Refcount table entry \(index) = 0x\(String(entry.word, radix: 16)) is no block's offset",
        file: name, offset: header.refcountTableOffset + index * 8)
    }
    return offset
  }

  /// The slice with the refcount of `cluster`, and the refcount's place in it.
  private mutating func refcountSlice(
    _ cluster: HostCluster
  ) throws(BlockError) -> (TableSlice, Int)? {
    guard let block = try refcountBlock(for: cluster) else { return nil }
    let index = geometry.refcountIndexInBlock(cluster)
    let slice = try refblocks.slice(
      at: block + index / refcountsPerSlice * geometry.sliceBytes, io)
    return (slice, index % refcountsPerSlice)
  }

  /// How many references `cluster` has.
  mutating func refcount(of cluster: HostCluster) throws(BlockError) -> UInt64 {
    guard let (slice, index) = try refcountSlice(cluster) else { return 0 }
    return words.get(slice.words, index)
  }

  /// How many clusters from `cluster` on have a reference, as far as one slice of refcounts tells
  /// and below the number `end`; and where to go on.
  mutating func usedClusters(
    from cluster: HostCluster, below end: Int
  ) throws(BlockError) -> (count: Int, next: HostCluster) {
    guard let (slice, start) = try refcountSlice(cluster) else {
      let left = geometry.refcountsPerBlock - geometry.refcountIndexInBlock(cluster)
      return (0, cluster + left)
    }
    let length = min(refcountsPerSlice - start, end - cluster.index)
    let words = self.words
    return (words.countNonzero(slice.words, start..<start + length), cluster + length)
  }

  /// Changes the refcounts of a run by one, up or down. The blocks exist.
  /// - Throws: `corrupt`, and the image is marked so, where a refcount would leave its range;
  ///   those before it are changed.
  mutating func adjustRefcounts(_ run: ClusterRun, up: Bool) throws(BlockError) {
    var cluster = run.first
    while cluster < run.end {
      guard let (slice, start) = try refcountSlice(cluster) else {
        throw refcountFault(cluster, up: up)
      }
      let count = min(refcountsPerSlice - start, run.end.index - cluster.index)
      try refblocks.markDirty(slice, io)
      if let index = words.adjust(&slice.words, start..<start + count, up: up) {
        throw refcountFault(cluster + (index - start), up: up)
      }
      cluster = cluster + count
    }
    if !up { firstFree = min(firstFree, run.first) }
  }

  /// A refcount that cannot change by one contradicts the tables: nothing more may rely on any.
  private mutating func refcountFault(_ cluster: HostCluster, up: Bool) -> BlockError {
    markCorrupt(
      up
        ? "The refcount of cluster \(cluster.index) cannot grow above \(geometry.maximumRefcount)"
        : "Cluster \(cluster.index) is in use, but its refcount is already 0",
      at: geometry.offset(of: cluster))
  }

  /// The first free clusters from `cluster` on, at most `count` neighbours, as far as one slice of
  /// refcounts tells; nil where the slice holds no free one (then `next` is where to go on), and
  /// `needsBlock` where there is no block yet.
  mutating func freeRun(from cluster: HostCluster, upTo count: Int) throws(BlockError) -> FreeRun {
    guard let (slice, start) = try refcountSlice(cluster) else { return .needsBlock }
    let words = self.words
    guard let free = words.firstZero(slice.words, from: start, to: refcountsPerSlice) else {
      return .none(next: cluster + (refcountsPerSlice - start))
    }
    let most = free + min(count, refcountsPerSlice - free)
    let end = words.firstNonzero(slice.words, from: free, to: most) ?? most
    return .found(ClusterRun(first: cluster + (free - start), count: end - free))
  }

  /// The first cluster of `run` that counts as free, also where there is no block to count it yet.
  mutating func firstFree(in run: ClusterRun) throws(BlockError) -> HostCluster? {
    var cluster = run.first
    while cluster < run.end {
      guard let (slice, start) = try refcountSlice(cluster) else { return cluster }
      let end = min(refcountsPerSlice, start + run.end.index - cluster.index)
      if let free = words.firstZero(slice.words, from: start, to: end) {
        return cluster + (free - start)
      }
      cluster = cluster + (end - start)
    }
    return nil
  }

  /// Calls `body` with the clusters of `run` that count as free, in order, neighbours together as
  /// far as a slice of refcounts goes.
  mutating func forEachFreeRun(
    in run: ClusterRun, _ body: (ClusterRun) -> Void
  ) throws(BlockError) {
    var rest = run
    while let first = try firstFree(in: rest) {
      rest = ClusterRun(first: first, count: run.end.index - first.index)
      // Where there is no block yet nothing counts as used.
      var free = rest
      if case .found(let found) = try freeRun(from: first, upTo: rest.count) { free = found }
      body(free)
      rest = ClusterRun(first: free.end, count: run.end.index - free.end.index)
    }
  }
}

/// What a look for free clusters found.
enum FreeRun {
  case found(ClusterRun)
  case none(next: HostCluster)
  case needsBlock
}
