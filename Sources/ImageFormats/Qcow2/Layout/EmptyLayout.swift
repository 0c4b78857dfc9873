import BlockCore

/// Where the tables of an image without any data lie: refcount table, refcount blocks, zeroed L1
/// table, one after the other from `start` on, with refcounts for exactly these and the header.
/// Both a new image and an emptied one are this.
///
/// Isolation: value.
package struct EmptyLayout: Hashable, Sendable {
  let geometry: ClusterGeometry
  /// The refcount table's first cluster.
  package let start: HostCluster
  package let tableClusters: Int
  /// The refcount table's entries that have a block, in order.
  package let blockIndices: [Int]
  package let l1Clusters: Int

  /// A layout for an L1 table of `l1Entries` entries; the header is cluster 0, so `start` is not.
  package init(_ geometry: ClusterGeometry, start: HostCluster, l1Entries: Int) {
    precondition(start.index > 0)
    self.geometry = geometry
    self.start = start
    let l1 = geometry.clusters(for: l1Entries * 8)
    var table = 1
    var blocks = [0]
    // Table and blocks count themselves, so their numbers grow until they fit.
    while true {
      let end = start + (table + blocks.count + l1)
      let first = geometry.refcountBlockIndex(start)
      let last = geometry.refcountBlockIndex(HostCluster(index: end.index - 1))
      let needed = Set([0]).union(first...last).sorted()
      let neededTable = geometry.clusters(for: (last + 1) * 8)
      if needed.count <= blocks.count, neededTable <= table { break }
      blocks = needed
      table = max(table, neededTable)
    }
    tableClusters = table
    blockIndices = blocks
    l1Clusters = l1
  }

  /// The refcount table's clusters, the blocks' and the L1 table's.
  package var count: Int { tableClusters + blockIndices.count + l1Clusters }
  /// One past the last cluster.
  package var end: HostCluster { start + count }
  /// The place of the n-th block of `blockIndices`.
  func block(_ position: Int) -> HostCluster { start + (tableClusters + position) }
  /// The L1 table's first cluster.
  package var l1: HostCluster { start + (tableClusters + blockIndices.count) }

  /// Writes the three tables; the clusters are free, and what they hold does not matter.
  func write(to state: inout Qcow2State) throws(BlockError) {
    let run = ClusterRun(first: start, count: count)
    try state.zeroTable(run, .refcountTable)
    for (position, index) in blockIndices.enumerated() { try writeBlock(position, index, state.io) }
    // Entries far behind are only as many as there are blocks; what lies between is zero already.
    for (position, index) in blockIndices.enumerated() {
      try state.io.writeWords(
        [UInt64(geometry.offset(of: block(position)))], .refcountTable,
        at: geometry.offset(of: start) + index * 8)
    }
  }

  /// Writes the refcounts of one block: 1 for the header and for the tables.
  private func writeBlock(_ position: Int, _ index: Int, _ io: MetadataIO) throws(BlockError) {
    let words = RefcountWords(geometry)
    let low = index * geometry.refcountsPerBlock
    let counted = [0..<1, start.index..<end.index]
      .map { $0.clamped(to: low..<low + geometry.refcountsPerBlock) }
      .filter { !$0.isEmpty }
    guard let last = counted.map(\.upperBound).max() else { return }
    // Only as many slices as hold something.
    let perSlice = geometry.sliceBytes / 8 * words.perWord
    let slices = (last - low).dividedRoundingUp(by: perSlice)
    var block = [UInt64](repeating: 0, count: slices * geometry.sliceBytes / 8)
    for cluster in counted.joined() { words.set(&block, cluster - low, to: 1) }
    try io.writeWords(block, .refcountBlock, at: geometry.offset(of: self.block(position)))
  }
}
