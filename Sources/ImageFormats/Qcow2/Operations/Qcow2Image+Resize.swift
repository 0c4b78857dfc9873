package import BlockCore
import BlockIO

extension Qcow2Image {
  /// Order: a larger L1 table, flush, the header's pointer to it; zeros in the new area, flush
  /// (`grownAreaBeforeSize`); the size, flush (`size`).
  ///
  /// Crash: before the first of these flushes, and up to the size, the old disk, with leaks; while
  /// the size is written, the old disk or the new one; after `size` the new one. What comes in
  /// reads zero, also over a longer backing file.
  ///
  /// Tests: `CrashSmokeTests` (resize), `EveryFaultTests`, `GrowthTests`.
  package func resize(to newSize: Int, over backing: (any BackingView)?) throws(BlockError) {
    let oldSize = virtualSize
    if newSize == oldSize { return }
    guard newSize > oldSize else {
      throw BlockError(
        .unsupported, "Shrinking from \(oldSize) to \(newSize) bytes is not supported", file: name)
    }
    try look { (state) throws(BlockError) in try state.requireSnapshotsSurviveResize() }
    let entries = newSize <= Limits.diskBytes ? geometry.l1Entries(for: newSize) : .max
    guard entries <= Limits.l1TableBytes / 8 else {
      throw BlockError(
        .outOfRange,
        "The image size \(newSize) is too large for clusters of \(clusterSize) bytes", file: name)
    }
    try change { (state) throws(BlockError) in try state.growL1(to: entries) }
    // The caller holds the whole disk, so nobody sees the size before it is true.
    publish(size: newSize)
    do {
      try zeroNewArea(ByteRange(from: oldSize, to: newSize), over: backing)
      try change { (state) throws(BlockError) in
        try state.writeOut()
        try state.io.flush(.grownAreaBeforeSize)
        try state.io.writeWords([UInt64(newSize)], .header, at: 24)
        try state.io.flush(.size)
        state.header.size = newSize
      }
    } catch {
      publish(size: oldSize)
      throw error
    }
  }

  /// The last cluster of the old disk may hold bytes past its end, and the backing file may be
  /// longer than the disk was: neither may show.
  private func zeroNewArea(_ range: ByteRange, over backing: (any BackingView)?) throws(BlockError)
  {
    let firstWhole = min(range.lower.roundedUp(to: clusterSize), range.upper)
    let partial = ByteRange(from: range.lower, to: firstWhole)
    if !partial.isEmpty { try writeZeroes(partial, deallocate: false, over: backing) }
    let rest = ByteRange(from: firstWhole, to: range.upper)
    if !rest.isEmpty { try writeZeroes(rest, deallocate: true, over: backing) }
  }
}

extension Qcow2State {
  /// Throws `unsupported` for a version 2 image with internal snapshots: they need not say how long
  /// the disk was, and QEMU does not go back to one of another length.
  fileprivate func requireSnapshotsSurviveResize() throws(BlockError) {
    guard header.version < 3, header.snapshotCount > 0 else { return }
    throw BlockError(
      .unsupported, "Can't resize a v2 image which has snapshots", file: io.storage.name)
  }

  /// Lets the L1 table hold at least `entries` entries: moves it to new clusters where it is too
  /// short.
  ///
  /// Neither end of the move needs a flush of its own. The new table's clusters were just counted
  /// up, so `writeOut` has refcounts to write and flushes after the table was written, before the
  /// header names it. And entries reach the new table, and refcounts of the old one drop, only in a
  /// later `writeOut`, after flushes that make the header durable first.
  ///
  /// Crash: before the header's write is durable the new table is a leak, after it the old one is.
  /// Tests: `CrashSmokeTests` (resize), `HeaderSwitchTests`.
  mutating func growL1(to entries: Int) throws(BlockError) {
    if entries <= l1.count { return }
    try writeOut()
    let count = geometry.clusters(for: entries * 8)
    let run = try allocateContiguous(count)
    let offset = geometry.offset(of: run.first)
    do {
      try zeroTable(run, .l1Table)
      try l1.copy(to: offset, io)
      // The clusters of the table must count as used before the header names it.
      try writeOut()
      var field = [UInt8](repeating: 0, count: 12)
      field.withMutableBytes {
        $0.setBigEndian(UInt32(entries), at: 0)
        $0.setBigEndian(UInt64(offset), at: 4)
      }
      try switchHeader(field, at: 36)
    } catch {
      // Where it is not known which table the header names, the new one stays: a leak at worst.
      if readOnlyReason == nil { freeUnreferenced(run) }
      throw error
    }
    let old = ClusterRun(
      first: geometry.cluster(at: header.l1Offset), count: geometry.clusters(for: header.l1Bytes))
    header.l1Entries = entries
    header.l1Offset = offset
    l1 = PagedTable(l1: header, in: pages)
    if old.count > 0 { pendingFrees.append(old) }
  }
}
