import BlockCore
import BlockIO

extension Qcow2State {
  /// Adds the refcount block that `cluster` needs, in the free cluster `place`: in `cluster`
  /// itself, which has refcount 0 as all that the block will count, so that it describes itself;
  /// or in one that another block counts.
  ///
  /// - Returns: whether `place` was taken; if not, the refcount table has grown, and the block is
  ///   still to be added.
  ///
  /// Crash: the block is written and flushed before its table entry, and that before any L2 entry
  /// that relies on it (`writeOut`); before, it is a leak. Tests: `CrashSmokeTests` (fill).
  mutating func addRefcountBlock(
    for cluster: HostCluster, in place: HostCluster
  ) throws(BlockError) -> Bool {
    let index = geometry.refcountBlockIndex(cluster)
    if index >= refcountTable.count {
      try growRefcountTable(toHold: index)
      return false
    }
    let run = ClusterRun(first: place, count: 1)
    let offset = geometry.offset(of: place)
    if let region = try overlapsMetadata(run) {
      throw markCorrupt(
        "The \(region.rawValue) in cluster \(place.index) has no refcount", at: offset)
    }
    try requireNotLost(run)
    if io.storage.traits.isDevice, offset + geometry.clusterSize > fileEnd {
      throw BlockError(.noSpace, "The device is full (\(fileEnd) bytes)", file: name)
    }
    try zeroTable(run, .refcountBlock)
    let block = geometry.bytes(of: place, count: 1)
    refblocks.drop(block)
    refcountTable.set(index, to: UInt64(offset))
    do {
      try adjustRefcounts(run, up: true)
      try refcountTable.reserve(index, io)
    } catch {
      refcountTable.revert(index)
      refblocks.drop(block)
      throw error
    }
    noteTable(at: place)
    return true
  }

  /// Moves the refcount table to a larger one that can hold entry `index`, half as large again so
  /// that this stays rare. Table and the blocks that count it lie past everything else.
  ///
  /// Crash: up to `newRefcountTableBeforeHeader` the old table, and the new one past all that it
  /// counts; up to `headerBeforeOldRefcountTableFree` the old one or the new one, both right; after
  /// it the new one, and the old one's clusters as leaks until they are counted down.
  ///
  /// Tests: `CrashSmokeTests` (fill, each flush left out), `GrowthTests`, `HeaderSwitchTests`.
  private mutating func growRefcountTable(toHold index: Int) throws(BlockError) {
    let plan = try planLargerRefcountTable(toHold: index)
    if let region = try overlapsMetadata(plan.run) {
      throw markCorrupt(
        "The \(region.rawValue) in clusters from \(plan.run.first.index) on has no refcount",
        at: geometry.offset(of: plan.run.first))
    }
    try requireNotLost(plan.run)
    try zeroTable(plan.run, .refcountTable)
    let offset = geometry.offset(of: plan.run.first)
    try refcountTable.copy(to: offset, io)
    let old = refcountTable
    refcountTable = PagedTable(.refcountTable, at: offset, count: plan.entries, in: pages)
    for (position, block) in plan.newBlocks.enumerated() {
      let place = plan.run.first + plan.tableClusters + position
      refcountTable.set(block, to: UInt64(geometry.offset(of: place)))
    }
    do {
      try adjustRefcounts(plan.run, up: true)
      try refblocks.writeDirty(io)
      try refcountTable.writePending(io)
      try io.flush(.newRefcountTableBeforeHeader)
      try pointHeader(to: plan)
    } catch {
      pages.removeAll(of: .refcountTable)
      refcountTable = old
      refblocks.drop(geometry.bytes(of: plan.run.first, count: plan.run.count))
      throw error
    }
    let oldRun = ClusterRun(
      first: geometry.cluster(at: header.refcountTableOffset), count: header.refcountTableClusters)
    header.refcountTableOffset = offset
    header.refcountTableClusters = plan.tableClusters
    for position in 0..<plan.newBlocks.count {
      noteTable(at: plan.run.first + plan.tableClusters + position)
    }
    try io.flush(.headerBeforeOldRefcountTableFree)
    freeUnreferenced(oldRun)
  }

  private mutating func pointHeader(to plan: RefcountTablePlan) throws(BlockError) {
    let offset = geometry.offset(of: plan.run.first)
    // Offset (48) and length (56) lie in one sector and change in one write.
    var field = [UInt8](repeating: 0, count: 12)
    field.withMutableBytes {
      $0.setBigEndian(UInt64(offset), at: 0)
      $0.setBigEndian(UInt32(plan.tableClusters), at: 8)
    }
    try switchHeader(field, at: 48)
  }

  private func planLargerRefcountTable(toHold index: Int) throws(BlockError) -> RefcountTablePlan {
    let half = refcountTable.count + refcountTable.count / 2
    let wanted = max(index + 1, min(half, Limits.refcountTableBytes / 8))
    // Past every cluster that an existing block counts, and in a file past its end: all free there.
    let isDevice = io.storage.traits.isDevice
    var counted = 0
    try refcountTable.forEachEntry(io) { (index, _) in
      counted = max(counted, index + 1)
      return true
    }
    let start = HostCluster(
      index: max(
        isDevice ? 0 : geometry.clusters(for: fileEnd), counted * geometry.refcountsPerBlock))
    var tableClusters = geometry.clusters(for: wanted * 8)
    while true {
      // Blocks count the table, themselves and each other; one more of them may need one more.
      var blocks = 1
      while geometry.refcountBlockIndex(start + (tableClusters + blocks - 1))
        - geometry.refcountBlockIndex(start) + 1 > blocks
      { blocks += 1 }
      let last = geometry.refcountBlockIndex(start + (tableClusters + blocks - 1))
      let entries = (tableClusters << geometry.clusterBits) / 8
      if last < entries {
        guard tableClusters << geometry.clusterBits <= Limits.refcountTableBytes else {
          throw BlockError(.noSpace, "The refcount table would grow above 8 MiB", file: name)
        }
        let plan = RefcountTablePlan(
          run: ClusterRun(first: start, count: tableClusters + blocks),
          tableClusters: tableClusters, entries: entries,
          newBlocks: geometry.refcountBlockIndex(start)...last)
        guard !isDevice || geometry.offset(of: plan.run.end) <= fileEnd else {
          throw BlockError(.noSpace, "The device is full (\(fileEnd) bytes)", file: name)
        }
        return plan
      }
      tableClusters = geometry.clusters(for: (last + 1) * 8)
    }
  }
}

/// Where a larger refcount table and the blocks that count it will lie.
private struct RefcountTablePlan {
  /// The table's clusters, then the blocks'.
  var run: ClusterRun
  var tableClusters: Int
  /// Entries of the table.
  var entries: Int
  /// The entries that the new blocks take.
  var newBlocks: ClosedRange<Int>
}
