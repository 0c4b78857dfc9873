/// The named flushes of the write order. Each says what must be durable before what; a simulator
/// can leave one out and must then find a broken image.
///
/// Isolation: value.
package enum FlushPoint: String, CaseIterable, Sendable {
  /// Guest data and refcounts, before L2 entries point to the clusters: else an entry could show
  /// old bytes, or point to a cluster that counts as free.
  case dataAndRefcountsBeforeL2 = "data-and-refcounts-before-l2"
  /// New refcount blocks' table entries, before L2 entries that rely on them.
  case refcountTableBeforeL2 = "refcount-table-before-l2"
  /// New L2 tables, before L1 entries point to them: else the L1 entry could show garbage.
  case l2TablesBeforeL1 = "l2-tables-before-l1"
  /// L1 and L2 entries that no longer name a cluster, before its refcount drops: else a crash could
  /// leave an entry on a cluster that is free or used again.
  case entriesBeforeFree = "entries-before-free"
  /// New table and blocks, before the header points to the table.
  case newRefcountTableBeforeHeader = "new-refcount-table-before-header"
  /// The header's pointer to a new refcount table, before the old one's clusters are free.
  case headerBeforeOldRefcountTableFree = "header-before-old-refcount-table-free"
  /// The zeroed new area of a grown disk, before its size is told.
  case grownAreaBeforeSize = "grown-area-before-size"
  /// The header's new size, before the caller relies on it.
  case size = "size"
  /// Cleared autoclear bits, before the first write that they would contradict.
  case autoclearBeforeWrite = "autoclear-before-write"
  /// The corrupt bit, before anything else happens.
  case corruptBit = "corrupt-bit"
  /// A new backing name, before the header points to it.
  case backingNameBeforeHeader = "backing-name-before-header"
  /// The header's pointer to the backing name, before the caller relies on it.
  case backingLink = "backing-link"
  /// The empty tables beside the live ones, before the header switches to them.
  case emptyTablesBeforeSwitch = "empty-tables-before-switch"
  /// The switch, before what it freed is written again or cut off.
  case switchBeforeReuse = "switch-before-reuse"
  /// The cut file, before the caller relies on the space.
  case truncation
  /// The extension of bitmaps that a repair drops, before their clusters are free. (A guest's first
  /// write drops them by `writeOut`, which flushes before it frees anything.)
  case bitmapsBeforeFree = "bitmaps-before-free"
  /// Repaired refcounts, before COPIED flags follow them.
  case repairedRefcountsBeforeFlags = "repaired-refcounts-before-flags"
  /// All that was repaired, before the image is called clean.
  case repairBeforeClean = "repair-before-clean"
  /// The cleared dirty and corrupt bits, before the caller relies on them.
  case clean
  /// All of a new image, before the caller relies on it.
  case creation
  /// What a caller's `flush` asks for.
  case final
}

/// One place at which a named flush is asked for.
///
/// Isolation: value.
package struct FlushPlace: Hashable, Sendable, CustomStringConvertible {
  /// Its name.
  package var point: FlushPoint
  /// The function that asks for it, as Swift spells it: each does so once.
  package var function: String

  /// The flush `point` of `function`.
  package init(_ point: FlushPoint, in function: String) {
    self.point = point
    self.function = function
  }

  package var description: String { "\(point.rawValue) (\(function))" }
}
