import BlockCore

/// Contradictions between L2 entries and refcounts that a write would turn into lost data. They are
/// looked for where the look is cheap: in the slices and the refcount that the write needs, and
/// (`vetTables`) once in all tables where these are few; `check` finds the rest.
extension Qcow2State {
  /// Throws, and marks the image corrupt, where the cluster at `host`, which the entry for `guest`
  /// calls its own, is not: it counts as free, or another entry names it too. A refcount that is
  /// too high harms nobody.
  mutating func requireOwn(_ host: Int, guest: Int) throws(BlockError) {
    let cluster = geometry.cluster(at: host)
    guard try refcount(of: cluster) > 0 else {
      throw markCorrupt(
        "The L2 entry for guest offset \(guest) calls cluster \(cluster.index) its own, but its "
          + "refcount is 0", at: host)
    }
    try requireSoleNames(inSliceFor: guest)
    try vetTables()
  }

  private mutating func requireSoleNames(inSliceFor guest: Int) throws(BlockError) {
    guard let table = try tableOffset(l1Index: geometry.l1Index(guest)) else { return }
    let slice = try l2Slice(table: table, guest: guest).slice
    if slice.isVetted { return }
    let own = slice.words.lazy.map(L2Entry.init).filter { $0.isCopied && !$0.isCompressed }
    var named = Array(own.map(\.clusterOffset).filter { $0 != 0 })
    // Mostly they are in order.
    if zip(named, named.dropFirst()).contains(where: >) { named.sort() }
    for (offset, next) in zip(named, named.dropFirst()) where offset == next {
      throw markCorrupt(
        "Two L2 entries near guest offset \(guest) call cluster "
          + "\(geometry.cluster(at: offset).index) their own", at: offset)
    }
    slice.isVetted = true
  }

  /// Throws, and marks the image corrupt, where an entry of the slices for `guest` and the clusters
  /// behind it, which are to name `run`, names one of its clusters already; they counted as free.
  mutating func requireUnnamed(_ run: ClusterRun, near guest: Int) throws(BlockError) {
    let bytesPerSlice = l2.sliceWords << geometry.clusterBits
    let end = guest + run.count << geometry.clusterBits
    for start in stride(from: guest.roundedDown(to: bytesPerSlice), to: end, by: bytesPerSlice) {
      try requireUnnamed(run, inSliceFor: start)
    }
  }

  private mutating func requireUnnamed(
    _ run: ClusterRun, inSliceFor guest: Int
  ) throws(BlockError) {
    guard let table = try tableOffset(l1Index: geometry.l1Index(guest)) else { return }
    let slice = try l2Slice(table: table, guest: guest).slice
    let bytes = geometry.bytes(of: run.first, count: run.count)
    for word in slice.words where word != 0 {
      let named = L2Entry(word: word).bytes(geometry)
      guard named.overlaps(bytes) else { continue }
      let offset = max(named.lower, bytes.lower)
      throw markCorrupt(
        "Cluster \(geometry.cluster(at: offset).index) counts as free, but an L2 entry near guest "
          + "offset \(guest) names it", at: offset)
    }
  }
}
