/// The pages of one image's tables in memory, within the image's own limits and a budget that it
/// shares with others.
///
/// Isolation: part of `Qcow2State`.
final class PageStore {
  let budget: CacheBudget
  private let limits: CacheLimits
  private var pages: [Int: TableSlice] = [:]
  private var mapping = Usage()
  private var refcounts = Usage()
  /// What the image needs as long as it is open, in bytes; counts against the budget too.
  var standingBytes = 0 {
    didSet { budget.give(oldValue - standingBytes) }
  }

  /// What waits to be written beside the pages, in bytes (`Qcow2State.makeRoom`). It counts as
  /// pages that are dirty do.
  var waitingBytes = 0 {
    didSet {
      budget.give(oldValue - waitingBytes)
      budget.noteDirty(waitingBytes - oldValue)
    }
  }

  private struct Usage {
    var bytes = 0
    var dirty = 0
  }

  init(_ limits: CacheLimits, of budget: CacheBudget) {
    self.limits = limits
    self.budget = budget
  }

  deinit {
    removeAll()
    budget.give(standingBytes + waitingBytes)
    budget.noteDirty(-waitingBytes)
  }

  /// Offsets of pages are multiples of 512, so the region has room beside them.
  private static func key(_ region: MetadataRegion, _ offset: Int) -> Int {
    offset | region.cacheIndex
  }

  /// The page at `offset`, where it is held; it counts as used now.
  func page(_ region: MetadataRegion, at offset: Int) -> TableSlice? {
    guard let page = pages[PageStore.key(region, offset)] else { return nil }
    page.lastUse = budget.now
    return page
  }

  /// Takes in a page that is not held yet; clean ones may go for it.
  func insert(_ page: TableSlice) {
    if isFull(for: page) { evictHalf(of: page.region) }
    if budget.usedBytes + page.cost > budget.bytes { budget.reclaim(for: self) }
    budget.take(page.cost)
    page.lastUse = budget.now
    count(page, bytes: page.cost)
    let old = pages.updateValue(page, forKey: PageStore.key(page.region, page.offset))
    precondition(old == nil, "a page is held once")
  }

  /// Lets go of the page at `offset`, dirty or not, and returns it.
  @discardableResult
  func remove(_ region: MetadataRegion, at offset: Int) -> TableSlice? {
    guard let page = pages.removeValue(forKey: PageStore.key(region, offset)) else { return nil }
    forget(page)
    return page
  }

  /// Lets go of all pages, dirty or not.
  func removeAll() {
    for page in pages.values { forget(page) }
    pages.removeAll()
  }

  /// Lets go of all pages of `region`.
  func removeAll(of region: MetadataRegion) {
    for (key, page) in pages where page.region == region {
      pages[key] = nil
      forget(page)
    }
  }

  /// Marks a held page as one that must be written, or as written.
  func mark(_ page: TableSlice, dirty: Bool) {
    if page.isDirty == dirty { return }
    page.isDirty = dirty
    let bytes = dirty ? page.cost : -page.cost
    count(page, dirty: bytes)
    budget.noteDirty(bytes)
  }

  /// Whether so much is dirty that it should be written out before more is added.
  var needsWriteOut: Bool {
    let own = mapping.dirty + refcounts.dirty + waitingBytes
    let least = budget.leastPages * TableSlice.largestCost
    return own > max(least, budget.dirtyAllowance(own: own))
      || mapping.dirty > max(least, limits.mapping / 2)
      || refcounts.dirty > max(least, limits.refcounts / 2)
  }

  func cleanAges() -> [Int] { pages.values.compactMap { $0.isDirty ? nil : $0.lastUse } }

  func evict(upTo age: Int) {
    for (key, page) in pages where !page.isDirty && page.lastUse <= age {
      pages[key] = nil
      forget(page)
    }
  }

  /// Drops the older half of the clean pages that count against the same limit as `region`'s.
  /// Halving makes the sort's cost per insertion small.
  private func evictHalf(of region: MetadataRegion) {
    let clean = pages.values
      .filter { !$0.isDirty && $0.region.counts == region.counts }
      .sorted { $0.lastUse < $1.lastUse }
    for page in clean.prefix((clean.count + 1) / 2) { remove(page.region, at: page.offset) }
  }

  private func forget(_ page: TableSlice) {
    mark(page, dirty: false)
    count(page, bytes: -page.cost)
    budget.give(page.cost)
  }

  private func count(_ page: TableSlice, bytes: Int = 0, dirty: Int = 0) {
    if page.region.counts {
      refcounts.bytes += bytes
      refcounts.dirty += dirty
    } else {
      mapping.bytes += bytes
      mapping.dirty += dirty
    }
  }

  private func isFull(for page: TableSlice) -> Bool {
    let (held, limit) =
      page.region.counts
      ? (refcounts.bytes, limits.refcounts) : (mapping.bytes, limits.mapping)
    return held + page.cost > max(budget.leastPages * page.cost, limit)
  }
}

extension MetadataRegion {
  /// A number below 512 for each region.
  fileprivate var cacheIndex: Int {
    switch self {
    case .l2Table: 0
    case .l1Table: 1
    case .refcountBlock: 2
    case .refcountTable: 3
    case .header: 4
    case .snapshotTable: 5
    case .inactiveL1Table: 6
    case .inactiveL2Table: 7
    }
  }

  /// Whether it holds refcounts or leads to them; the others map guest offsets.
  fileprivate var counts: Bool { self == .refcountTable || self == .refcountBlock }
}
