import BlockCore
import BlockIO

/// An L2 table that is looked through.
///
/// Isolation: value.
private enum VettedTable {
  /// The one that this entry of the active L1 table names.
  case active(l1Index: Int)
  /// One at this offset, which snapshots alone hold.
  case inactive(offset: Int)

  var isActive: Bool {
    if case .active = self { true } else { false }
  }
}

/// What entries of a table name that lie side by side, as their clusters do; or a single one.
///
/// Isolation: value.
private struct Name {
  var run: ClusterRun
  /// Whether entries of the disk call it their own.
  var isOwn: Bool
  var table: VettedTable
  /// The entries' places in the table.
  var entries: Range<Int>

  /// The place of the entry that names `cluster`.
  func index(of cluster: HostCluster) -> Int {
    entries.count == 1 ? entries.lowerBound : entries.lowerBound + cluster.index - run.first.index
  }
}

/// Which clusters of a window of the file are named, as far as tables have been looked through.
///
/// Isolation: value.
private struct NamedClusters {
  /// A bit for each is 2 MiB, and there are two of them: 1 TiB in clusters of 64 KiB.
  private static let most = 1 << 24

  private let first: HostCluster
  private var named = [UInt64](repeating: 0, count: most / 64)
  private var owned = [UInt64](repeating: 0, count: most / 64)
  /// The first named cluster behind the window.
  private(set) var next: HostCluster?

  init(from first: HostCluster) { self.first = HostCluster(index: first.index & ~63) }

  private var end: HostCluster { first + NamedClusters.most }

  /// Notes what an entry names. Returns the first cluster of it in which that contradicts another
  /// entry: two name it, and one calls it its own.
  mutating func note(_ name: Name) -> HostCluster? {
    if name.run.count == 0 { return nil }
    if name.run.end > end {
      let behind = max(name.run.first, end)
      next = next.map { min($0, behind) } ?? behind
    }
    var place = max(name.run.first.index - first.index, 0)
    let end = min(name.run.end.index - first.index, NamedClusters.most)
    while place < end {
      let count = min(64 - place % 64, end - place)
      let bits = UInt64.ones(count, from: place % 64)
      let clash = (name.isOwn ? named[place / 64] : owned[place / 64]) & bits
      if clash != 0 { return first + (place / 64 * 64 + clash.trailingZeroBitCount) }
      named[place / 64] |= bits
      if name.isOwn { owned[place / 64] |= bits }
      place += count
    }
    return nil
  }

  /// The first run of named clusters from `start` on, or from the window's beginning, as far as it
  /// goes in one word; nil where there is none.
  func nextRun(from start: HostCluster) -> ClusterRun? {
    var place = max(start.index - first.index, 0)
    while place < NamedClusters.most {
      let rest = named[place / 64] >> (place % 64)
      if rest == 0 {
        place = (place / 64 + 1) * 64
        continue
      }
      place += rest.trailingZeroBitCount
      let ones = (~(named[place / 64] >> (place % 64))).trailingZeroBitCount
      return ClusterRun(first: first + place, count: min(ones, 64 - place % 64))
    }
    return nil
  }
}

extension Qcow2State {
  /// Throws, and marks the image corrupt, where an L2 entry names a cluster that counts as free:
  /// whoever took it would write over what the entry shows; or one that an entry of the disk calls
  /// its own: what is written by that would show in both.
  ///
  /// Looks once, before the first cluster is taken, let go or written in place, at all active
  /// tables where these are few (`Limits.vettedTableBytes`), and at those that snapshots alone hold
  /// where all together are. Where they are more, a cluster that is taken or written is looked for
  /// only in the slices that are to name it, or do (`requireUnnamed`, `requireOwn`); so is one that
  /// lies behind many others that are far apart (`mostWindows`, `mostRefcountSlices`). Entries that
  /// are wrong by themselves are left to those who meet them.
  ///
  /// What is named past the end of the file is noted (`lostClusters`): whoever lets the file grow
  /// there is refused (`claim`).
  ///
  /// Crash: the mark is there or not, and nothing else is written (`markCorrupt`). Tests:
  /// `VettingTests`, `SnapshotOverwriteTests`.
  mutating func vetTables() throws(BlockError) {
    if areTablesVetted { return }
    let tables = try fewTables() ?? []
    let end = geometry.clusters(for: fileEnd)
    var lost: Set<HostCluster> = []
    var refcountSlices = 0
    var start: HostCluster? = HostCluster(index: 0)
    for window in 0..<Qcow2State.mostWindows {
      guard let first = start else { break }
      var names = NamedClusters(from: first)
      var contradiction: (cluster: HostCluster, name: Name)?
      try forEachName(in: tables) { name in
        var inside = name
        inside.run.count = max(0, min(name.run.count, end - name.run.first.index))
        if let cluster = names.note(inside) { contradiction = (cluster, name) }
        if window == 0 {
          for index in inside.run.count..<name.run.count where lost.count < Qcow2State.mostLost {
            lost.insert(name.run.first + index)
          }
        }
        return contradiction == nil
      }
      if let (cluster, name) = contradiction {
        throw markCorrupt(
          "Cluster \(cluster.index) is called its own by one L2 entry and named by another: "
            + entry(of: name, at: cluster), at: geometry.offset(of: cluster))
      }
      if let free = try firstFree(of: names, &refcountSlices) {
        throw try countsAsFree(free, tables)
      }
      start = names.next
    }
    lostClusters = lost
    areTablesVetted = true
  }

  /// Those of `clusters` that an entry names as the tables stand in the file; all of them where
  /// the tables have become too many to tell. One that counts as free is named by no entry that is
  /// still to be written.
  mutating func clustersNamedNow(
    of clusters: Set<HostCluster>
  ) throws(BlockError) -> Set<HostCluster> {
    guard let tables = try fewTables() else { return clusters }
    var named: Set<HostCluster> = []
    try forEachName(in: tables) { name in
      for index in 0..<name.run.count where clusters.contains(name.run.first + index) {
        named.insert(name.run.first + index)
      }
      return true
    }
    return named
  }

  /// Windows of named clusters that are looked at, and slices of refcounts: they bound the time to
  /// well under a second, and are enough for 8 TiB in clusters of 64 KiB.
  private static var mostWindows: Int { 8 }
  private static var mostRefcountSlices: Int { 1 << 17 }
  /// Clusters past the end of the file that are noted: half a megabyte.
  private static var mostLost: Int { 1 << 15 }

  /// The tables to look through: the active ones where they are few, and then those of snapshots
  /// too where all together are; nil where the active ones are not.
  private func fewTables() throws(BlockError) -> [VettedTable]? {
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
    guard list.count <= most else { return nil }
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

  /// Calls `body` with all that the entries of `tables` name, until it returns false.
  private mutating func forEachName(
    in tables: [VettedTable], _ body: (Name) -> Bool
  ) throws(BlockError) {
    for table in tables {
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
        // Of a table that the end of the file cuts, the whole entries.
        let count = max(0, min(piece, fileEnd - offset - part)).roundedDown(to: 8)
        let goesOn = try forEachName(
          at: offset + part, count: count, of: table, from: part / 8, body)
        if !goesOn { return }
      }
    }
  }

  /// Calls `body` with what the entries in `count` bytes at `offset` name, of which the first is
  /// that with the number `first` in `table`, until it returns false; returns whether it did not.
  private mutating func forEachName(
    at offset: Int, count: Int, of table: VettedTable, from first: Int, _ body: (Name) -> Bool
  ) throws(BlockError) -> Bool {
    let buffer = scanBuffer ?? IOBuffer(count: Qcow2State.scanBytes)
    scanBuffer = buffer
    try io.read(.l2Table, at: offset, into: buffer, count: count)
    return buffer.withBytes(0..<count) { bytes in
      if bytes.isAllZero { return true }
      var index = 0
      while index < count / 8 {
        let entry = L2Entry(word: bytes.bigEndian(at: index * 8))
        let length = runLength(from: index, below: count / 8) { bytes.bigEndian(at: $0 * 8) }
        let entries = first + index..<first + index + length
        index += length
        guard entry.word != 0, var run = namedRun(entry) else { continue }
        run.count += length - 1
        let isOwn = entry.isCopied && table.isActive
        if !body(Name(run: run, isOwn: isOwn, table: table, entries: entries)) { return false }
      }
      return true
    }
  }

  /// The clusters that an entry names.
  private func namedRun(_ entry: L2Entry) -> ClusterRun? {
    let bytes = entry.bytes(geometry)
    guard !bytes.isEmpty, entry.isCompressed || geometry.offsetInCluster(bytes.lower) == 0 else {
      return nil
    }
    let first = geometry.cluster(at: bytes.lower)
    return ClusterRun(first: first, count: geometry.clusters(for: bytes.upper) - first.index)
  }

  /// The first cluster of `names` that counts as free, as far as slices of refcounts may be asked;
  /// `slices` counts them.
  private mutating func firstFree(
    of names: NamedClusters, _ slices: inout Int
  ) throws(BlockError) -> HostCluster? {
    var last = -1
    var start = HostCluster(index: 0)
    while let run = names.nextRun(from: start) {
      let slice = run.first.index / refcountsPerSlice
      if slice != last { slices += 1 }
      last = slice
      if slices > Qcow2State.mostRefcountSlices { return nil }
      if let free = try firstFree(in: run) { return free }
      start = run.end
    }
    return nil
  }

  private mutating func countsAsFree(
    _ cluster: HostCluster, _ tables: [VettedTable]
  ) throws(BlockError) -> BlockError {
    var namer: Name?
    try forEachName(in: tables) { name in
      if cluster >= name.run.first, cluster < name.run.end { namer = name }
      return namer == nil
    }
    let named = namer.map { entry(of: $0, at: cluster) } ?? "an L2 entry"
    return markCorrupt(
      "Cluster \(cluster.index) counts as free, but \(named) names it",
      at: geometry.offset(of: cluster))
  }

  /// The entry of `name` that names `cluster`.
  private func entry(of name: Name, at cluster: HostCluster) -> String {
    let index = name.index(of: cluster)
    switch name.table {
    case .active(let l1Index):
      let guest = geometry.guestOffset(l1Index: l1Index, l2Index: index)
      return "the L2 entry for guest offset \(guest)"
    case .inactive(let offset):
      return "L2 entry \(index) of a snapshot's table at byte \(offset)"
    }
  }
}
