import BlockCore

/// What a client says about the memory for one image's tables, by QEMU's names for it.
///
/// Isolation: value.
package struct CacheSizes: Hashable, Sendable {
  /// `cache-size`: all tables together, in bytes; nil: only the process's budget counts.
  package var total: Int?
  /// `l2-cache-size`: what maps guest offsets.
  package var l2: Int?
  /// `refcount-cache-size`: what counts references.
  package var refcount: Int?

  package init(total: Int? = nil, l2: Int? = nil, refcount: Int? = nil) {
    self.total = total
    self.l2 = l2
    self.refcount = refcount
  }
}

/// The most that one image's tables take in memory.
///
/// Isolation: value.
struct CacheLimits: Hashable, Sendable {
  /// L1 and L2 tables, in bytes.
  let mapping: Int
  /// Refcount table and blocks.
  let refcounts: Int

  /// The limits that `sizes` stand for. Of a total without more, refcounts get a quarter: they are
  /// used in runs, guest offsets at random.
  ///
  /// - Throws: `invalidArgument` for sizes that contradict each other, as QEMU does.
  init(_ sizes: CacheSizes) throws(BlockError) {
    func refuse(_ message: String) -> BlockError { BlockError(.invalidArgument, message) }
    for (name, size) in [
      ("cache-size", sizes.total), ("l2-cache-size", sizes.l2),
      ("refcount-cache-size", sizes.refcount),
    ] {
      guard (size ?? 0) >= 0 else { throw refuse("\(name) = \(size ?? 0) is negative") }
    }
    guard let total = sizes.total else {
      mapping = sizes.l2 ?? .max
      refcounts = sizes.refcount ?? .max
      return
    }
    guard sizes.l2 == nil || sizes.refcount == nil else {
      throw refuse(
        "cache-size, l2-cache-size and refcount-cache-size may not be set at the same time")
    }
    guard (sizes.l2 ?? 0) <= total else { throw refuse("l2-cache-size may not exceed cache-size") }
    guard (sizes.refcount ?? 0) <= total else {
      throw refuse("refcount-cache-size may not exceed cache-size")
    }
    refcounts = sizes.refcount ?? (total - (sizes.l2 ?? total - total / 4))
    mapping = total - refcounts
  }
}
