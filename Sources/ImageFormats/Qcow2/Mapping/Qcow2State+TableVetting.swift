import BlockCore
import BlockIO

/// An L2 table that is looked through.
///
/// Isolation: value.
private enum VettedTable: Hashable {
  /// The one that this entry of the active L1 table names.
  case active(l1Index: Int)
  /// One at this offset, which snapshots alone hold.
  case inactive(offset: Int)

  var isActive: Bool {
    if case .active = self { true } else { false }
  }
}

/// Which clusters are named, as far as tables have been looked through.
///
/// Isolation: value.
private struct ClusterNames {
  private var named: TableFilter
  private var owned: TableFilter

  /// Nil where the file has too many clusters for a bit each.
  init?(clusters: Int) {
    guard let none = TableFilter.exact(clusters: clusters) else { return nil }
    named = none
    owned = none
  }

  /// Notes that an entry names `cluster`. Returns whether that contradicts another: two name it,
  /// and one calls it its own.
  mutating func note(_ cluster: HostCluster, isOwn: Bool) -> Bool {
    let isContradiction = isOwn ? named.mayContain(cluster) : owned.mayContain(cluster)
    named.insert(cluster)
    if isOwn { owned.insert(cluster) }
    return isContradiction
  }
}

/// Clusters that entries of a table name one behind the other.
///
/// Isolation: value.
private struct NamedRun {
  var run: ClusterRun
  var table: VettedTable
  /// The entry for the first.
  var index: Int
}

extension Qcow2State {
  /// Throws, and marks the image corrupt, where an L2 entry names a cluster that counts as free:
  /// whoever took it would write over what the entry shows; or one that an entry of the disk calls
  /// its own: what is written by that would show in both.
  ///
  /// Looks once, before the first cluster is taken, let go or written in place, at all active
  /// tables where these are few (`Limits.vettedTableBytes`), and at those that snapshots alone hold
  /// where all together are. Where they are more, a cluster that is taken or written is looked for
  /// only in the slices that are to name it, or do (`requireUnnamed`, `requireOwn`). Whose a
  /// cluster is, is left aside in a file of so many clusters that a bit for each would be too many
  /// (`TableFilter.exact`). Entries that are wrong by themselves are left to those who meet them.
  mutating func vetTables() throws(BlockError) {
    if areTablesVetted { return }
    var runs: [NamedRun] = []
    var names = ClusterNames(clusters: geometry.clusters(for: fileEnd))
    for table in try fewTables() {
      let offset: Int
      switch table {
      case .active(let index):
        // An entry that names none is refused where it is met.
        guard let place = try? tableOffset(l1Index: index) else { continue }
        offset = place
      case .inactive(let place): offset = place
      }
      let piece = min(geometry.clusterSize, Qcow2State.scanBytes)
      for part in stride(from: 0, to: geometry.clusterSize, by: piece) {
        try appendNames(
          at: offset + part, count: piece, of: table, from: part / 8, to: &runs, &names)
        if runs.count >= Qcow2State.vettedRuns { try requireCounted(&runs) }
      }
    }
    try requireCounted(&runs)
    areTablesVetted = true
  }

  /// So many runs are looked at together: what fragmented tables name is all over the file, and in
  /// the order of its clusters the refcounts of a piece are met one after the other.
  private static var vettedRuns: Int { 32 << 10 }

  /// The tables to look through: the active ones where they are few, and then those of snapshots
  /// too where all together are.
  private func fewTables() throws(BlockError) -> [VettedTable] {
    let most = Limits.vettedTableBytes / geometry.clusterSize
    var list: [VettedTable] = []
    // What snapshots share with the disk is looked at once.
    var known: Set<Int> = []
    try l1.forEachEntry(io) { (index, word) in
      list.append(.active(l1Index: index))
      let entry = L1Entry(word: word)
      // One with reserved bits names no table that is looked at.
      if !entry.hasReservedBits { known.insert(entry.tableOffset) }
      return list.count <= most
    }
    guard list.count <= most else { return [] }
    let active = list.count
    try forEachInactiveTable { (cluster) in
      let offset = geometry.offset(of: cluster)
      // What lies past the end holds nothing that could be written over.
      guard offset < fileEnd, known.insert(offset).inserted else { return true }
      list.append(.inactive(offset: offset))
      return list.count <= most
    }
    return list.count <= most ? list : Array(list[..<active])
  }

  /// Appends what the entries in `count` bytes at `offset` name, of which the first is that with
  /// the number `first` in `table`; of a table that the end of the file cuts, the whole entries.
  private mutating func appendNames(
    at offset: Int, count: Int, of table: VettedTable, from first: Int, to runs: inout [NamedRun],
    _ names: inout ClusterNames?
  ) throws(BlockError) {
    let count = max(0, min(count, fileEnd - offset)).roundedDown(to: 8)
    let buffer = scanBuffer ?? IOBuffer(count: Qcow2State.scanBytes)
    scanBuffer = buffer
    try io.read(.l2Table, at: offset, into: buffer, count: count)
    try buffer.withBytes(0..<count) { (bytes) throws(BlockError) in
      if bytes.isAllZero { return }
      for index in 0..<count / 8 {
        let entry = L2Entry(word: bytes.bigEndian(at: index * 8))
        guard entry.word != 0, let run = namedRun(entry) else { continue }
        let named = NamedRun(run: run, table: table, index: first + index)
        try note(named, isOwn: entry.isCopied && table.isActive, in: &names)
        if let last = runs.last, last.run.end == run.first, run.count == 1, last.table == table,
          last.index + last.run.count == first + index
        {
          runs[runs.count - 1].run.count += 1
        } else {
          runs.append(named)
        }
      }
    }
  }

  /// The clusters that an entry names, as far as they lie in the file.
  private func namedRun(_ entry: L2Entry) -> ClusterRun? {
    let bytes = entry.bytes(geometry)
    guard !bytes.isEmpty, bytes.lower < fileEnd,
      entry.isCompressed || geometry.offsetInCluster(bytes.lower) == 0
    else { return nil }
    let first = geometry.cluster(at: bytes.lower)
    let end = geometry.clusters(for: min(bytes.upper, fileEnd))
    return ClusterRun(first: first, count: end - first.index)
  }

  /// Throws where a cluster of `runs` counts as free, and leaves the list empty.
  private mutating func requireCounted(_ runs: inout [NamedRun]) throws(BlockError) {
    runs.sort { $0.run.first < $1.run.first }
    for named in runs {
      if let free = try firstFree(in: named.run) { throw countsAsFree(free, named) }
    }
    runs.removeAll(keepingCapacity: true)
  }

  private mutating func countsAsFree(_ cluster: HostCluster, _ named: NamedRun) -> BlockError {
    let index = named.index + (cluster.index - named.run.first.index)
    return markCorrupt(
      "Cluster \(cluster.index) counts as free, but \(entry(index, of: named.table)) names it",
      at: geometry.offset(of: cluster))
  }

  /// Throws where one cluster that the entry of `named` names is called its own by that entry or by
  /// another of those in `names`, not by the only one.
  private mutating func note(
    _ named: NamedRun, isOwn: Bool, in names: inout ClusterNames?
  ) throws(BlockError) {
    for index in 0..<named.run.count {
      let cluster = named.run.first + index
      guard names?.note(cluster, isOwn: isOwn) == true else { continue }
      throw markCorrupt(
        "Cluster \(cluster.index) is called its own by one L2 entry and named by another: "
          + entry(named.index, of: named.table), at: geometry.offset(of: cluster))
    }
  }

  private func entry(_ index: Int, of table: VettedTable) -> String {
    switch table {
    case .active(let l1Index):
      "the L2 entry for guest offset \(geometry.guestOffset(l1Index: l1Index, l2Index: index))"
    case .inactive(let offset): "L2 entry \(index) of a snapshot's table at byte \(offset)"
    }
  }
}
