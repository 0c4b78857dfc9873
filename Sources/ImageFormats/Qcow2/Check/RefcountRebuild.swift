import BlockCore

/// New refcounts, complete, past the end of the file: a table, then the blocks that it names.
///
/// Isolation: value.
struct RefcountRebuild {
  /// The first cluster of all.
  let start: Int
  /// Clusters of the table.
  let tableClusters: Int
  /// The table's entries that have a block, in the order of the blocks.
  let blocks: [Int]

  /// One past the last cluster.
  var end: Int { start + tableClusters + blocks.count }
  /// The clusters of the table and its blocks.
  var clusters: Range<Int> { start..<end }

  /// Finds the room for counts that do not hold the old refcounts' own references any more.
  ///
  /// - Throws: `noSpace` where the table would be too large.
  init(
    _ counts: borrowing ReferenceCounts, _ geometry: ClusterGeometry, start: Int, file: String
  ) throws(BlockError) {
    var used: [Int] = []
    let perBlock = geometry.refcountsPerBlock
    counts.forEachCounted { (cluster, _) in
      if used.last != cluster / perBlock { used.append(cluster / perBlock) }
    }
    var tableClusters = 1
    var blocks = used
    while true {
      let end = start + tableClusters + blocks.count
      let own = start / perBlock...(end - 1) / perBlock
      let all = used.filter { $0 < own.lowerBound } + Array(own)
      let wanted = geometry.clusters(for: (own.upperBound + 1) * 8)
      if all.count == blocks.count && wanted <= tableClusters { break }
      blocks = all
      tableClusters = max(tableClusters, wanted)
    }
    guard tableClusters << geometry.clusterBits <= Limits.refcountTableBytes else {
      throw BlockError(.noSpace, "The refcount table would grow above 8 MiB", file: file)
    }
    self.start = start
    self.tableClusters = tableClusters
    self.blocks = blocks
  }

  /// The table's words.
  func table(_ geometry: ClusterGeometry) -> [UInt64] {
    var words = [UInt64](repeating: 0, count: (tableClusters << geometry.clusterBits) / 8)
    for (position, index) in blocks.enumerated() {
      words[index] = UInt64((start + tableClusters + position) << geometry.clusterBits)
    }
    return words
  }

  /// The words of the block at `position`: what was counted, and one reference to each cluster of
  /// the new table and blocks.
  func block(
    at position: Int, _ counts: borrowing ReferenceCounts, _ geometry: ClusterGeometry
  ) -> [UInt64] {
    let refcounts = RefcountWords(geometry)
    var words = [UInt64](repeating: 0, count: geometry.clusterSize / 8)
    let first = blocks[position] * geometry.refcountsPerBlock
    let range = first..<first + geometry.refcountsPerBlock
    for cluster in range.clamped(to: 0..<counts.clusters) {
      let count = counts[cluster]
      if count > 0 { refcounts.set(&words, cluster - first, to: UInt64(count)) }
    }
    for cluster in range.clamped(to: clusters) { refcounts.set(&words, cluster - first, to: 1) }
    return words
  }
}
