import BlockCore
import BlockIO

extension Qcow2State {
  /// Adds the refcount block that `cluster` needs. The block takes `cluster` itself, which must
  /// have refcount 0 as all that it will count, and so describes itself.
  ///
  /// - Returns: where to go on looking for a free cluster.
  ///
  /// Crash: the block is written and flushed before its table entry, and that before any L2 entry
  /// that relies on it (`writeOut`); before, it is a leak.
  mutating func addRefcountBlock(for cluster: HostCluster) throws(BlockError) -> HostCluster {
    let index = geometry.refcountBlockIndex(cluster)
    if index >= refcountTable.count {
      try growRefcountTable(toHold: index)
      return cluster
    }
    let run = ClusterRun(first: cluster, count: 1)
    if let region = overlapsMetadata(run) {
      throw markCorrupt(
        "The \(region.rawValue) in cluster \(cluster.index) has no refcount",
        at: geometry.offset(of: cluster))
    }
    let offset = geometry.offset(of: cluster)
    if io.storage.traits.isDevice, offset + geometry.clusterSize > fileEnd {
      throw BlockError(.noSpace, "The device is full (\(fileEnd) bytes)", file: name)
    }
    try zeroTable(run, .refcountBlock)
    refcountTable[index] = UInt64(offset)
    pendingRefcountTable.insert(index)
    tableClusters.insert(cluster)
    refblocks.drop(geometry.bytes(of: cluster, count: 1))
    try adjustRefcounts(run, up: true)
    return cluster + 1
  }

  /// Moves the refcount table to a larger one that can hold entry `index`, half as large again so
  /// that this stays rare. Table and the blocks that count it lie past everything else.
  ///
  /// Crash: before the header's switch the new table is a leak; after it, the old one is.
  private mutating func growRefcountTable(toHold index: Int) throws(BlockError) {
    let plan = try planLargerRefcountTable(toHold: index)
    var table = refcountTable + [UInt64](repeating: 0, count: plan.entries - refcountTable.count)
    for (position, block) in plan.newBlocks.enumerated() {
      table[block] = UInt64(geometry.offset(of: plan.run.first + plan.tableClusters + position))
    }
    try zeroTable(plan.run, .refcountTable)
    let old = refcountTable
    refcountTable = table
    do {
      try adjustRefcounts(plan.run, up: true)
      try refblocks.writeDirty(io)
      try io.writeWords(table, .refcountTable, at: geometry.offset(of: plan.run.first))
      try io.flush(.newRefcountTableBeforeHeader)
      try switchRefcountTable(to: plan)
    } catch {
      refcountTable = old
      refblocks.drop(geometry.bytes(of: plan.run.first, count: plan.run.count))
      throw error
    }
  }

  private mutating func switchRefcountTable(to plan: RefcountTablePlan) throws(BlockError) {
    let oldRun = ClusterRun(
      first: geometry.cluster(at: header.refcountTableOffset), count: header.refcountTableClusters)
    let offset = geometry.offset(of: plan.run.first)
    // Offset (48) and length (56) lie in one sector and change in one write.
    var field = [UInt8](repeating: 0, count: 12)
    field.withMutableBytes {
      $0.setBigEndian(UInt64(offset), at: 0)
      $0.setBigEndian(UInt32(plan.tableClusters), at: 8)
    }
    try io.write(field, .header, at: 48)
    try io.flush(.headerBeforeOldRefcountTableFree)
    header.refcountTableOffset = offset
    header.refcountTableClusters = plan.tableClusters
    pendingRefcountTable.removeAll()
    for position in 0..<plan.newBlocks.count {
      tableClusters.insert(plan.run.first + plan.tableClusters + position)
    }
    try adjustRefcounts(oldRun, up: false)
  }

  private func planLargerRefcountTable(toHold index: Int) throws(BlockError) -> RefcountTablePlan {
    let wanted = max(index + 1, refcountTable.count + refcountTable.count / 2)
    // Past the file's end and past every cluster that an existing block counts: all free there.
    let counted = (refcountTable.lastIndex { $0 != 0 } ?? -1) + 1
    let start = HostCluster(
      index: max(geometry.clusters(for: fileEnd), counted * geometry.refcountsPerBlock))
    guard !io.storage.traits.isDevice else {
      throw BlockError(.noSpace, "The device is full (\(fileEnd) bytes)", file: name)
    }
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
        return RefcountTablePlan(
          run: ClusterRun(first: start, count: tableClusters + blocks),
          tableClusters: tableClusters, entries: entries,
          newBlocks: geometry.refcountBlockIndex(start)...last)
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
