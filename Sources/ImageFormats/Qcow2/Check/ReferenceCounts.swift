import BlockCore

/// How many references each cluster of a file has been found to have, and whether its stored
/// refcount is exactly 1.
///
/// One byte a cluster, in pages that exist only where there is something to count, so that holes
/// of a sparse file cost nothing; a page with a larger count has four bytes a cluster. The file's
/// length bounds it.
///
/// Isolation: value of one owner; the pages are its own.
struct ReferenceCounts: ~Copyable {
  /// Clusters of one page.
  static var pageClusters: Int { 4096 }

  /// A page's counters.
  final class Page {
    fileprivate var narrow = [UInt8](repeating: 0, count: ReferenceCounts.pageClusters)
    /// The counts where one of them does not fit a byte; else empty.
    fileprivate var wide: [UInt32] = []
    fileprivate var ones = [UInt64](repeating: 0, count: ReferenceCounts.pageClusters / 64)

    func count(_ index: Int) -> UInt32 { wide.isEmpty ? UInt32(narrow[index]) : wide[index] }

    /// Adds where all sums fit a byte; else returns false and has done nothing.
    fileprivate func addNarrowly(_ part: Range<Int>, _ times: UInt32, _ maximum: UInt32) -> Bool {
      let most = min(255, maximum)
      guard wide.isEmpty, times <= most else { return false }
      let room = UInt8(most - times)
      var highest: UInt8 = 0
      for slot in part { highest = max(highest, narrow[slot]) }
      if highest > room { return false }
      for slot in part { narrow[slot] += UInt8(times) }
      return true
    }

    fileprivate func addWidely(_ part: Range<Int>, _ times: UInt32, _ maximum: UInt32) -> Int {
      if wide.isEmpty {
        wide = narrow.map(UInt32.init)
        narrow = []
      }
      var excess = 0
      for slot in part {
        let sum = UInt64(wide[slot]) + UInt64(times)
        excess += Int(max(sum, UInt64(maximum)) - UInt64(maximum))
        wide[slot] = UInt32(min(sum, UInt64(maximum)))
      }
      return excess
    }
  }

  /// The largest count; what would go above stays there and is reported.
  let maximum: UInt32
  /// Clusters that have counters.
  private(set) var clusters: Int
  private var pages: [Page?]

  /// Counters for `clusters` clusters of an image with this geometry.
  init(clusters: Int, _ geometry: ClusterGeometry) {
    self.clusters = clusters
    maximum = UInt32(min(geometry.maximumRefcount, UInt64(UInt32.max)))
    pages = []
  }

  /// The page of `cluster`; nil where it counts nothing.
  func page(of cluster: Int) -> Page? {
    let index = cluster / ReferenceCounts.pageClusters
    return index < pages.count ? pages[index] : nil
  }

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
      if page.addNarrowly(slot..<slot + length, times, maximum) {
        cluster += length
        continue
      }
      excess += page.addWidely(slot..<slot + length, times, maximum)
      cluster += length
    }
    return excess
  }

  private mutating func makePage(of cluster: Int) -> Page {
    let index = cluster / ReferenceCounts.pageClusters
    if index >= pages.count {
      pages += Array(repeating: nil, count: index + 1 - pages.count)
    }
    if let page = pages[index] { return page }
    let page = Page()
    pages[index] = page
    return page
  }

  /// Takes one reference to `cluster` back.
  mutating func subtract(_ cluster: Int) {
    guard let page = page(of: cluster) else { preconditionFailure("a reference was counted") }
    let slot = cluster % ReferenceCounts.pageClusters
    if page.wide.isEmpty { page.narrow[slot] -= 1 } else { page.wide[slot] -= 1 }
  }

  /// Notes that the stored refcount of `cluster` is exactly 1.
  mutating func noteStoredOne(_ cluster: Int) {
    let page = makePage(of: cluster)
    let slot = cluster % ReferenceCounts.pageClusters
    page.ones[slot / 64] |= 1 << UInt64(slot % 64)
  }

  /// Whether the stored refcount of `cluster` is exactly 1.
  func isStoredOne(_ cluster: Int) -> Bool {
    guard let page = page(of: cluster) else { return false }
    let slot = cluster % ReferenceCounts.pageClusters
    return page.ones[slot / 64] >> UInt64(slot % 64) & 1 == 1
  }

  /// Of `count` clusters from `first` on, how many have a stored refcount of exactly 1.
  func storedOnes(_ first: Int, count: Int) -> Int {
    var found = 0
    var cluster = first
    while cluster < first + count {
      let inPage = cluster % ReferenceCounts.pageClusters
      let shift = inPage % 64
      let length = min(64 - shift, first + count - cluster)
      if let page = page(of: cluster) {
        let mask: UInt64 = length == 64 ? .max : (1 << UInt64(length)) - 1
        found += (page.ones[inPage / 64] >> UInt64(shift) & mask).nonzeroBitCount
      }
      cluster += length
    }
    return found
  }

  /// Calls `body` with each cluster that has references, in order.
  func forEachCounted(_ body: (_ cluster: Int, _ count: UInt32) -> Void) {
    for (index, page) in pages.enumerated() {
      guard let page else { continue }
      let first = index * ReferenceCounts.pageClusters
      for slot in 0..<min(ReferenceCounts.pageClusters, clusters - first)
      where page.count(slot) > 0 {
        body(first + slot, page.count(slot))
      }
    }
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
    var cluster = start
    while cluster < range.upperBound {
      guard let page = page(of: cluster) else {
        cluster += ReferenceCounts.pageClusters - cluster % ReferenceCounts.pageClusters
        continue
      }
      if page.count(cluster % ReferenceCounts.pageClusters) > 0 {
        if start < cluster, !body(start..<cluster) { return }
        start = cluster + 1
      }
      cluster += 1
    }
    if start < range.upperBound { _ = body(start..<range.upperBound) }
  }
}
