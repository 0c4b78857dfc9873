import BlockCore

/// New refcounts, complete, in clusters to which nothing refers: a table, and the blocks that it
/// names.
///
/// Isolation: value.
struct RefcountRebuild {
  /// The clusters of the table.
  let table: Range<Int>
  /// The table's entries that have a block, in order.
  let blocks: [Int]
  /// The clusters of these blocks, in order.
  let places: [Int]

  /// Finds the room in `room` for blocks that count `used`, table and blocks themselves.
  ///
  /// - Parameters:
  ///   - used: the blocks that count something else, in order.
  ///   - counts: what is referred to, the old refcounts included.
  /// - Throws: `noSpace` where the table would be too large, or a device has no room.
  init(
    _ used: [Int], in room: RefcountRoom, _ counts: borrowing ReferenceCounts,
    _ geometry: ClusterGeometry, file: String
  ) throws(BlockError) {
    let perBlock = geometry.refcountsPerBlock
    var tableClusters = 1
    var count = used.count
    while true {
      guard tableClusters << geometry.clusterBits <= Limits.refcountTableBytes else {
        throw BlockError(.noSpace, "The refcount table would grow above 8 MiB", file: file)
      }
      guard let (table, places) = room.place(tableClusters, blocks: count, counts) else {
        throw BlockError(
          .noSpace,
          "The device has no room for new refcounts, which take \(tableClusters) neighbouring "
            + "clusters and \(count) others that nothing refers to", file: file)
      }
      // Table and blocks count themselves, so their numbers grow until they fit.
      let own = Set(table.map { $0 / perBlock }).union(places.map { $0 / perBlock })
      let all = own.union(used).sorted()
      let wanted = geometry.clusters(for: (all[all.count - 1] + 1) * 8)
      if all.count <= count && wanted <= tableClusters {
        self.table = table
        blocks = all
        self.places = places.prefix(all.count).sorted()
        return
      }
      count = max(count, all.count)
      tableClusters = max(tableClusters, wanted)
    }
  }

  /// The table's words.
  func tableWords(_ geometry: ClusterGeometry) -> [UInt64] {
    var words = [UInt64](repeating: 0, count: (table.count << geometry.clusterBits) / 8)
    for (index, place) in zip(blocks, places) {
      words[index] = UInt64(place << geometry.clusterBits)
    }
    return words
  }

  /// The words of the block at `position`: what was counted, and one reference to each cluster of
  /// the new table and blocks.
  func blockWords(
    at position: Int, _ counts: borrowing ReferenceCounts, _ geometry: ClusterGeometry
  ) -> [UInt64] {
    let refcounts = RefcountWords(geometry)
    var words = [UInt64](repeating: 0, count: geometry.clusterSize / 8)
    let first = blocks[position] * geometry.refcountsPerBlock
    let range = first..<first + geometry.refcountsPerBlock
    counts.forEachCounted(in: range) { (cluster, count) in
      refcounts.set(&words, cluster - first, to: UInt64(count))
    }
    for cluster in range.clamped(to: table) { refcounts.set(&words, cluster - first, to: 1) }
    for cluster in places[lowerBound(range.lowerBound)..<lowerBound(range.upperBound)] {
      refcounts.set(&words, cluster - first, to: 1)
    }
    return words
  }

  /// How many of `places` lie below `cluster`.
  private func lowerBound(_ cluster: Int) -> Int {
    var (low, high) = (0, places.count)
    while low < high {
      let middle = (low + high) / 2
      if places[middle] < cluster { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

/// Where new refcounts may lie: what is written there damages nothing, and until the header names
/// it nobody sees it.
///
/// Isolation: value.
struct RefcountRoom {
  /// Behind everything that is in use; in a file, past its end.
  let tail: Range<Int>
  /// Where gaps may be taken too, once the tail is too small. A file that can grow has none.
  let gaps: Range<Int>

  /// The clusters of a table and of `count` blocks; nil where there are not so many.
  func place(
    _ tableClusters: Int, blocks count: Int, _ counts: borrowing ReferenceCounts
  ) -> (table: Range<Int>, places: [Int])? {
    var table: Range<Int>?
    forEachRun(counts) { run in
      if run.count < tableClusters { return true }
      table = run.prefix(tableClusters)
      return false
    }
    guard let table else { return nil }
    var places: [Int] = []
    forEachRun(counts) { run in
      for part in [
        run.clamped(to: 0..<table.lowerBound), run.clamped(to: table.upperBound..<Int.max),
      ] {
        places += part.prefix(count - places.count)
      }
      return places.count < count
    }
    return places.count == count ? (table, places) : nil
  }

  /// Calls `body` with each run of clusters until it returns false.
  private func forEachRun(
    _ counts: borrowing ReferenceCounts, _ body: (Range<Int>) -> Bool
  ) {
    if !tail.isEmpty, !body(tail) { return }
    counts.forEachFreeRun(in: gaps, body)
  }
}
