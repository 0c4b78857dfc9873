import BlockCore
import Synchronization

/// The memory that the tables of all open images may take together, with what waits beside them to
/// be written: changed entries of L1 and refcount tables, and references that are to go.
///
/// Pages come from here and go back here. When it is used up, the pages that were not used for the
/// longest time go, whichever image holds them; only clean ones can: what is dirty waits for its
/// image's `writeOut`, which comes the earlier the more is dirty. An image may always hold
/// `leastPages` dirty pages, so that it gets on whatever the others do.
///
/// Isolation: any thread. A reclaiming image holds its own lock and only tries those of others, so
/// that none ever waits for another.
package final class CacheBudget: Sendable {
  /// The most that clean and dirty pages take, give or take what one request brings in.
  package let bytes: Int
  private let used = Atomic<Int>(0)
  private let dirty = Atomic<Int>(0)
  /// Counts the pages that came in: the time by which ages are told.
  private let clock = Atomic<Int>(0)
  private let holders = Mutex<[WeakHolder]>([])

  /// Pages that every image may hold, clean or dirty, whatever the limits say.
  let leastPages: Int

  /// A budget of `bytes` bytes, not negative. Only tests ask for other `leastPages`: with few of
  /// them a small image writes out in the midst of its work, as a large one does.
  package init(bytes: Int = Limits.metadataCacheBytes, leastPages: Int = 64) {
    precondition(bytes >= 0 && leastPages >= 0)
    self.bytes = bytes
    self.leastPages = leastPages
  }

  /// What all pages take now.
  package var usedBytes: Int { used.load(ordering: .relaxed) }
  /// What pages that are still to be written take now.
  package var dirtyBytes: Int { dirty.load(ordering: .relaxed) }
  /// The age of a page that is used now.
  var now: Int { clock.load(ordering: .relaxed) }

  /// From now on `holder` gives pages back when others need them.
  func enroll(_ holder: any PageHolder) {
    holders.withLock { list in
      list.removeAll { $0.holder == nil }
      list.append(WeakHolder(holder: holder))
    }
  }

  /// Counts a page of `count` bytes in.
  func take(_ count: Int) {
    clock.add(1, ordering: .relaxed)
    used.add(count, ordering: .relaxed)
  }

  /// Counts `count` bytes out.
  func give(_ count: Int) { used.subtract(count, ordering: .relaxed) }

  /// Counts `count` bytes, negative ones too, that became dirty.
  func noteDirty(_ count: Int) { dirty.add(count, ordering: .relaxed) }

  /// How much an image of which `own` bytes are dirty may let collect: what the others leave of
  /// half of the budget.
  func dirtyAllowance(own: Int) -> Int { bytes / 2 - (dirtyBytes - own) }

  /// Drops the oldest quarter of all clean pages; `own` are the caller's, whose lock it holds.
  func reclaim(for own: PageStore) {
    let others = holders.withLock { $0.compactMap(\.holder) }
      .filter { $0.pagesID != ObjectIdentifier(own) }
    var ages = own.cleanAges()
    for other in others { ages += other.cleanAges() }
    guard !ages.isEmpty else { return }
    ages.sort()
    let cutoff = ages[(ages.count - 1) / 4]
    own.evict(upTo: cutoff)
    for other in others { other.evict(upTo: cutoff) }
  }

  private struct WeakHolder: Sendable {
    weak let holder: (any PageHolder)?
  }
}

/// Who holds pages that a budget may ask back. Both calls do nothing while the holder is at work.
///
/// Isolation: any thread.
protocol PageHolder: AnyObject, Sendable {
  /// Names the holder's `PageStore`.
  var pagesID: ObjectIdentifier { get }
  /// When each clean page was last used.
  func cleanAges() -> [Int]
  /// Drops the clean pages last used at `age` or before.
  func evict(upTo age: Int)
}
