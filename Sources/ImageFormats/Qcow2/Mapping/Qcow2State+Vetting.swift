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
    guard try refcount(of: cluster) > 0 else { throw ownCountsAsFree(cluster, guest: guest) }
    try requireSoleNames(inSliceFor: guest)
    try vetTables()
  }

  /// The error where `cluster` counts as free, which the entry for `guest` calls its own.
  mutating func ownCountsAsFree(_ cluster: HostCluster, guest: Int) -> BlockError {
    markCorrupt(
      "The L2 entry for guest offset \(guest) calls cluster \(cluster.index) its own, but its "
        + "refcount is 0", at: geometry.offset(of: cluster))
  }

  private mutating func requireSoleNames(inSliceFor guest: Int) throws(BlockError) {
    guard let table = try tableOffset(l1Index: geometry.l1Index(guest)) else { return }
    let slice = try l2Slice(table: table, guest: guest).slice
    if slice.isVetted { return }
    try requireSoleNames(near: guest) { slice.words[$0] }
    slice.isVetted = true
  }

  /// Throws, and marks the image corrupt, where two entries of a slice, whose words are `word`,
  /// call one cluster their own.
  mutating func requireSoleNames(
    near guest: Int, _ word: (Int) -> UInt64
  ) throws(BlockError) {
    func ownCluster(_ index: Int) -> Int? {
      let entry = L2Entry(word: word(index))
      let isOwn = entry.isCopied && !entry.isCompressed && entry.clusterOffset != 0
      return isOwn ? entry.clusterOffset : nil
    }
    // Mostly they are in order.
    var last = 0
    let isInOrder = (0..<l2.sliceWords).allSatisfy { index in
      guard let offset = ownCluster(index) else { return true }
      defer { last = offset }
      return offset > last
    }
    if isInOrder { return }
    let named = (0..<l2.sliceWords).compactMap(ownCluster).sorted()
    for (offset, next) in zip(named, named.dropFirst()) where offset == next {
      throw markCorrupt(
        "Two L2 entries near guest offset \(guest) call cluster "
          + "\(geometry.cluster(at: offset).index) their own", at: offset)
    }
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
