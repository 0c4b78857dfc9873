import BlockCore

/// How many references each cluster of a file has been found to have, and whether its stored
/// refcount is exactly 1.
///
/// In pages that exist only where there is something to count, so that holes of a sparse file cost
/// nothing (`CountPage`). What they may take in all grows with what was read of the file: a few
/// entries for clusters that lie far apart cannot take memory without end.
///
/// Isolation: value of one owner; the pages are its own.
struct ReferenceCounts: ~Copyable {
  /// Clusters of one page.
  static var pageClusters: Int { CountPage.clusters }
  /// What each entry that was read allows for, and each refcount: the most that they take where
  /// many lie together.
  private static var bytesPerEntry: Int { 16 }
  private static var bytesPerRefcount: Int { 2 }

  /// The largest count; what would go above stays there and is reported.
  let maximum: UInt32
  /// Clusters that have counters.
  private(set) var clusters: Int
  private var pages: [CountPage?]
  /// What the pages take, and what they may.
  private var bytes = 0
  private var mostBytes = Limits.checkBytes

  /// Counters for `clusters` clusters of an image with this geometry.
  init(clusters: Int, _ geometry: ClusterGeometry) {
    self.clusters = clusters
    maximum = UInt32(min(geometry.maximumRefcount, UInt64(UInt32.max)))
    pages = []
  }

  /// Throws where the counters take more than they may; `file` is the image.
  func requireFitting(file: String) throws(BlockError) {
    if bytes <= mostBytes { return }
    throw BlockError(
      .unsupported,
      "The image's tables name clusters so far apart that counting them would take more than "
        + "\(mostBytes >> 20) MiB of memory, the limit for tables of this size", file: file)
  }

  /// Notes that `count` entries of tables were read.
  mutating func noteEntries(_ count: Int) { mostBytes += count * ReferenceCounts.bytesPerEntry }

  /// References found to `cluster`.
  subscript(cluster: Int) -> UInt32 {
    page(of: cluster)?.count(cluster % ReferenceCounts.pageClusters) ?? 0
  }

  /// Counts `times` references to each of `count` clusters from `first` on, which lie inside the
  /// file or just past it. Returns how many would have been above the maximum.
  mutating func add(_ first: Int, count: Int = 1, times: UInt32 = 1) -> Int {
    clusters = max(clusters, first + count)
    var excess = 0
    var cluster = first
    while cluster < first + count {
      let slot = cluster % ReferenceCounts.pageClusters
      let length = min(ReferenceCounts.pageClusters - slot, first + count - cluster)
      let page = makePage(of: cluster)
      let before = page.bytes
      excess += page.add(slot..<slot + length, times, maximum)
      bytes += page.bytes - before
      cluster += length
    }
    return excess
  }

  /// Takes one reference to `cluster` back.
  mutating func subtract(_ cluster: Int) {
    guard let page = page(of: cluster) else { preconditionFailure("a reference was counted") }
    page.subtract(cluster % ReferenceCounts.pageClusters)
  }

  /// Notes which stored refcounts are exactly 1: `refcounts` are those of the clusters from `first`
  /// on, which have one page.
  mutating func noteStoredOnes(of refcounts: [UInt64], from first: Int) {
    let ones = refcounts.count { $0 == 1 }
    if ones == 0 { return }
    let page = makePage(of: first)
    let before = page.bytes
    page.noteStoredOnes(of: refcounts, from: first % ReferenceCounts.pageClusters, ones)
    bytes += page.bytes - before
    mostBytes += ones * ReferenceCounts.bytesPerRefcount
  }

  /// Whether the stored refcount of `cluster` is exactly 1.
  func isStoredOne(_ cluster: Int) -> Bool { storedOnes(cluster, count: 1) == 1 }

  /// Of `count` clusters from `first` on, how many have a stored refcount of exactly 1.
  func storedOnes(_ first: Int, count: Int) -> Int {
    var found = 0
    forEachPage(of: first..<first + count) { (page, slots) in
      found += page?.storedOnes(slots) ?? 0
      return true
    }
    return found
  }

  /// Whether each cluster of `range` has one reference and a stored refcount of exactly 1; may say
  /// no where they have.
  func areOnes(_ range: Range<Int>) -> Bool {
    var areOnes = true
    forEachPage(of: range) { (page, slots) in
      areOnes = page?.areOnes(slots) ?? false
      return areOnes
    }
    return areOnes
  }

  /// Calls `body` with the page of each part of `range`, and with the part, until it returns false.
  private func forEachPage(
    of range: Range<Int>, while body: (_ page: CountPage?, _ slots: Range<Int>) -> Bool
  ) {
    var cluster = range.lowerBound
    while cluster < range.upperBound {
      let slot = cluster % ReferenceCounts.pageClusters
      let length = min(ReferenceCounts.pageClusters - slot, range.upperBound - cluster)
      if !body(page(of: cluster), slot..<slot + length) { return }
      cluster += length
    }
  }

  private func page(of cluster: Int) -> CountPage? {
    let index = cluster / ReferenceCounts.pageClusters
    return index < pages.count ? pages[index] : nil
  }

  private mutating func makePage(of cluster: Int) -> CountPage {
    let index = cluster / ReferenceCounts.pageClusters
    if index >= pages.count {
      pages += Array(repeating: nil, count: index + 1 - pages.count)
    }
    if let page = pages[index] { return page }
    let page = CountPage()
    bytes += page.bytes
    pages[index] = page
    return page
  }
}

extension ReferenceCounts {
  /// Sets `list` to the counts of `range`, which lies in one page; returns whether there are any.
  func copy(_ range: Range<Int>, to list: inout [UInt32]) -> Bool {
    list.removeAll(keepingCapacity: true)
    guard let page = page(of: range.lowerBound) else { return false }
    let slot = range.lowerBound % ReferenceCounts.pageClusters
    page.append(slot..<slot + range.count, to: &list)
    return true
  }

  /// Calls `body` with each cluster of `range` that has references, in order, until it returns
  /// false.
  private func forEachCounted(
    in range: Range<Int>, while body: (_ cluster: Int, _ count: UInt32) -> Bool
  ) {
    let pageClusters = ReferenceCounts.pageClusters
    let end = min(range.upperBound, pages.count * pageClusters)
    var cluster = range.lowerBound
    var isWanted = true
    while isWanted, cluster < end {
      let first = cluster.roundedDown(to: pageClusters)
      let last = min(first + pageClusters, end)
      if let page = pages[first / pageClusters] {
        page.forEachCounted(in: cluster - first..<last - first) { (slot, count) in
          isWanted = body(first + slot, count)
          return isWanted
        }
      }
      cluster = last
    }
  }

  /// Calls `body` with each cluster that has references, in order; with `range` only with those in
  /// it.
  func forEachCounted(
    in range: Range<Int>? = nil, _ body: (_ cluster: Int, _ count: UInt32) -> Void
  ) {
    let all = 0..<clusters
    forEachCounted(in: range?.clamped(to: all) ?? all) { (cluster, count) in
      body(cluster, count)
      return true
    }
  }

  /// The first cluster from `first` on that has references.
  func nextCounted(from first: Int) -> Int? {
    var found: Int?
    forEachCounted(in: min(first, clusters)..<clusters) { (cluster, _) in
      found = cluster
      return false
    }
    return found
  }

  /// The refcount blocks that count any of these, by index, in order.
  func usedBlocks(_ geometry: ClusterGeometry) -> [Int] {
    var list: [Int] = []
    forEachCounted { (cluster, _) in
      let index = cluster / geometry.refcountsPerBlock
      if list.last != index { list.append(index) }
    }
    return list
  }

  /// Calls `body` with each run in `range` to which nothing refers, in order, until it returns
  /// false.
  func forEachFreeRun(in range: Range<Int>, _ body: (Range<Int>) -> Bool) {
    var start = range.lowerBound
    var isWanted = true
    forEachCounted(in: range) { (cluster, _) in
      if start < cluster { isWanted = body(start..<cluster) }
      start = cluster + 1
      return isWanted
    }
    if isWanted, start < range.upperBound { _ = body(start..<range.upperBound) }
  }
}
