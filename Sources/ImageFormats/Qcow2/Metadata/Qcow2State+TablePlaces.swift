import BlockCore

extension Qcow2State {
  /// Notes where L2 tables and refcount blocks lie. Two tables of any kind in one place mark the
  /// image corrupt, because changing one would change the other; these, or a refcount block that is
  /// none, make it read-only. Snapshots may share L2 tables with each other, and with the disk
  /// where its L1 entry does not call the table its own.
  ///
  /// Crash: the mark is there or not, and nothing else is written (`markCorrupt`). Tests:
  /// `TableOverlapTests`.
  ///
  /// Reads L1 tables, also those of snapshots, and refcount table once, where the file is short
  /// enough for a bit for each of its clusters: passes that a filter turns out to be too small for
  /// end early.
  mutating func noteTables() throws(BlockError) {
    let places = try findPlaces(withBlocks: true)
    adopt(places.filter)
    isSharingBounded = true
    if readOnlyReason != nil { return }
    if let overlap = places.overlap {
      _ = markCorrupt(overlap)
    } else {
      readOnlyReason = places.fault
    }
  }

  /// Throws, and marks the image corrupt, where two L1 entries name one table, or tables that the
  /// header or snapshots name overlap.
  mutating func requireSoleTables() throws(BlockError) {
    if let overlap = try findPlaces(withBlocks: false).overlap { throw markCorrupt(overlap) }
  }

  /// Where the tables lie, with a filter that is large enough for them.
  private mutating func findPlaces(withBlocks: Bool) throws(BlockError) -> TablePlaces {
    var capacity = TableFilter.leastCapacity
    while true {
      var places = TablePlaces(newFilter(capacity))
      places.overlap = fixedOverlap()
      if withBlocks { try noteInactiveTables(in: &places) }
      try noteTables(in: &places)
      if withBlocks { try noteBlocks(in: &places) }
      try confirm(&places)
      try confirmClaims(&places)
      places.filter.formUnion(places.inactive)
      if !places.filter.isCrowded { return places }
      capacity *= 4
    }
  }

  /// Notes the only tables that there are: the blocks of `layout`.
  mutating func noteTables(of layout: EmptyLayout) {
    adopt(newFilter(TableFilter.leastCapacity))
    for position in layout.blockIndices.indices { noteTable(at: layout.block(position)) }
  }

  private func newFilter(_ capacity: Int) -> TableFilter {
    TableFilter(capacity: capacity, clusters: geometry.clusters(for: fileEnd))
  }

  private mutating func adopt(_ filter: TableFilter) {
    pages.standingBytes = filter.bytes + snapshots.bytes
    tablePlaces = filter
  }

  /// Notes a new table.
  mutating func noteTable(at cluster: HostCluster) { tablePlaces.insert(cluster) }

  private func noteTables(in places: inout TablePlaces) throws(BlockError) {
    try l1.forEachEntry(io) { (_, word) throws(BlockError) in
      let entry = L1Entry(word: word)
      let cluster = geometry.cluster(at: entry.tableOffset)
      if cluster.index > 0 {
        try note(.l2Table, at: cluster, in: &places)
        if entry.isCopied { try claim(cluster, for: .l2Table, in: &places) }
      }
      return !places.isDecided
    }
  }

  private func noteBlocks(in places: inout TablePlaces) throws(BlockError) {
    try refcountTable.forEachEntry(io) { (index, word) throws(BlockError) in
      do throws(BlockError) {
        let offset = try blockOffset(word, entry: index)
        let cluster = geometry.cluster(at: offset)
        try note(.refcountBlock, at: cluster, in: &places)
        try claim(cluster, for: .refcountBlock, in: &places)
      } catch {
        places.fault = places.fault ?? error
      }
      return !places.isDecided
    }
  }

  private func noteInactiveTables(in places: inout TablePlaces) throws(BlockError) {
    try forEachInactiveTable { (cluster) in
      if let other = fixedMetadata(ClusterRun(first: cluster, count: 1)) {
        places.overlap = places.overlap ?? overlap(.inactiveL2Table, other, at: cluster)
      }
      // Snapshots share tables with each other.
      if !places.inactive.mayContain(cluster) { places.inactive.insert(cluster) }
      return !places.isDecided
    }
  }

  /// Refuses to read by an L1 table that names the same L2 tables over and over, and so would keep
  /// its reader busy for longer than any file of this length can. A few may be: such an image is
  /// damaged, and what it holds is still read. Looks through the L1 table once, and only where that
  /// many entries fit; one that may be written has been looked through already (`noteTables`).
  ///
  /// - Throws: `corrupt`.
  mutating func boundSharing() throws(BlockError) {
    if isSharingBounded { return }
    let most = Limits.sharedTableBytes / geometry.clusterSize
    var capacity = TableFilter.leastCapacity
    while l1.count > most {
      var places = TablePlaces(newFilter(capacity), mostShared: most)
      try noteTables(in: &places)
      try confirm(&places)
      if let overlap = places.overlap, places.shared > most {
        throw BlockError(
          .corrupt,
          "\(places.shared) L1 entries name L2 tables that others name too, of which one lies at "
            + "byte \(overlap.offset ?? 0)", file: name, offset: overlap.offset)
      }
      if !places.filter.isCrowded { break }
      capacity *= 4
    }
    isSharingBounded = true
  }

  private func note(
    _ region: MetadataRegion, at cluster: HostCluster, in places: inout TablePlaces
  ) throws(BlockError) {
    if let other = fixedMetadata(ClusterRun(first: cluster, count: 1)) {
      places.overlap = places.overlap ?? overlap(region, other, at: cluster)
    }
    guard places.filter.insert(cluster) else { return }
    places.suspects.insert(cluster)
    if places.suspects.count == TablePlaces.mostSuspects { try confirm(&places) }
  }

  /// Counts the tables in the clusters in which the filter suspected more than one.
  private func confirm(_ places: inout TablePlaces) throws(BlockError) {
    if places.suspects.isEmpty { return }
    var isSuspect = newFilter(TablePlaces.mostSuspects)
    for cluster in places.suspects { isSuspect.insert(cluster) }
    var found: [HostCluster: MetadataRegion] = [:]
    try forEachTable(blocks: places.mostShared == 0) { (region, cluster) in
      guard isSuspect.mayContain(cluster), places.suspects.contains(cluster) else { return true }
      if let other = found.updateValue(region, forKey: cluster) {
        places.overlap = places.overlap ?? overlap(region, other, at: cluster)
        places.shared += 1
      }
      return places.shared <= places.mostShared
    }
    places.suspects.removeAll()
  }

  /// Notes that what lies in `cluster` is changed in place, so that no snapshot may name it.
  private func claim(
    _ cluster: HostCluster, for region: MetadataRegion, in places: inout TablePlaces
  ) throws(BlockError) {
    guard places.overlap == nil, places.inactive.mayContain(cluster) else { return }
    places.claims[cluster] = region
    if places.claims.count == TablePlaces.mostSuspects { try confirmClaims(&places) }
  }

  /// Looks for snapshots' tables in the clusters where the filter suspected them.
  private func confirmClaims(_ places: inout TablePlaces) throws(BlockError) {
    if places.claims.isEmpty { return }
    try forEachInactiveTable { (cluster) in
      guard let region = places.claims[cluster] else { return true }
      places.overlap = places.overlap ?? overlap(.inactiveL2Table, region, at: cluster)
      return false
    }
    places.claims.removeAll()
  }

  private func overlap(
    _ region: MetadataRegion, _ other: MetadataRegion, at cluster: HostCluster
  ) -> BlockError {
    overlap(region, other, at: geometry.offset(of: cluster))
  }

  private func overlap(
    _ region: MetadataRegion, _ other: MetadataRegion, at offset: Int
  ) -> BlockError {
    BlockError(
      .corrupt,
      "\(region.withArticle) lies at byte \(offset), where the \(other.rawValue) is",
      file: name, offset: offset)
  }

  /// Two tables in one place that the header or an entry of the snapshot table names; the decoder
  /// of the header takes none inside its own cluster. All begin with a cluster, so that those that
  /// share one share bytes.
  private func fixedOverlap() -> BlockError? {
    var named: [(region: MetadataRegion, bytes: ByteRange)] = [
      (.l1Table, ByteRange(at: header.l1Offset, length: header.l1Bytes))
    ]
    if header.refcountFault == nil { named.append((.refcountTable, refcountTableBytes)) }
    if header.snapshotCount > 0 { named.append((.snapshotTable, snapshotTableBytes)) }
    for (index, table) in named.enumerated() {
      for other in named[..<index] where other.bytes.overlaps(table.bytes) {
        let offset = table.bytes.intersection(other.bytes).lower
        return overlap(table.region, other.region, at: offset)
      }
      if let l1Table = snapshots.firstL1Table(in: table.bytes) {
        let offset = l1Table.intersection(table.bytes).lower
        return overlap(.inactiveL1Table, table.region, at: offset)
      }
    }
    return snapshots.l1Overlap.map { overlap(.inactiveL1Table, .inactiveL1Table, at: $0) }
  }

  private var refcountTableBytes: ByteRange {
    ByteRange(at: header.refcountTableOffset, length: header.refcountTableBytes)
  }

  /// One that cannot be read is there all the same.
  private var snapshotTableBytes: ByteRange {
    ByteRange(at: header.snapshotsOffset, length: max(1, snapshots.table.length))
  }

  /// Calls `body` with every L2 table and, unless told otherwise, refcount block that the tables
  /// name, until it returns false.
  private func forEachTable(
    blocks: Bool = true, _ body: (MetadataRegion, HostCluster) throws(BlockError) -> Bool
  ) throws(BlockError) {
    var goesOn = true
    try l1.forEachEntry(io) { (_, word) throws(BlockError) in
      let offset = L1Entry(word: word).tableOffset
      if offset > 0 { goesOn = try body(.l2Table, geometry.cluster(at: offset)) }
      return goesOn
    }
    guard goesOn, blocks else { return }
    try refcountTable.forEachEntry(io) { (_, word) throws(BlockError) in
      let offset = RefcountTableEntry(word: word).blockOffset
      return offset == 0 ? true : try body(.refcountBlock, geometry.cluster(at: offset))
    }
  }

  /// Whether `run` touches the header, a table, a refcount block or what a snapshot needs to be
  /// found: places where guest data must never be written, whatever an entry or a refcount says.
  func overlapsMetadata(_ run: ClusterRun) throws(BlockError) -> MetadataRegion? {
    if let region = fixedMetadata(run) { return region }
    return tablePlaces.mayContain(run) ? try table(in: run) : nil
  }

  /// The table or block that lies in `run`; nil where none does. Looks through all entries.
  private func table(in run: ClusterRun) throws(BlockError) -> MetadataRegion? {
    var found: MetadataRegion?
    try forEachTable { (region, cluster) in
      if cluster >= run.first, cluster < run.end { found = region }
      return found == nil
    }
    if found != nil { return found }
    try forEachInactiveTable { (cluster) in
      if cluster >= run.first, cluster < run.end { found = .inactiveL2Table }
      return found == nil
    }
    return found
  }

  /// What of the header, the L1 tables, the refcount table and the snapshot table `run` touches.
  func fixedMetadata(_ run: ClusterRun) -> MetadataRegion? {
    let bytes = geometry.bytes(of: run.first, count: run.count)
    if run.first.index == 0 { return .header }
    if bytes.overlaps(ByteRange(at: header.l1Offset, length: header.l1Bytes)) { return .l1Table }
    if bytes.overlaps(refcountTableBytes) { return .refcountTable }
    if header.snapshotCount > 0, bytes.overlaps(snapshotTableBytes) { return .snapshotTable }
    return snapshots.firstL1Table(in: bytes) == nil ? nil : .inactiveL1Table
  }
}

/// Where tables lie, as far as they have been looked through.
///
/// Isolation: value.
private struct TablePlaces {
  var filter: TableFilter
  /// Where snapshots' L2 tables lie.
  var inactive: TableFilter
  /// Clusters in which the filter saw a table before another was noted there.
  var suspects: Set<HostCluster> = []
  /// What is changed in place and lies where the filter saw a snapshot's table.
  var claims: [HostCluster: MetadataRegion] = [:]
  /// Two tables in one place.
  var overlap: BlockError?
  /// An entry that names no refcount block.
  var fault: BlockError?

  /// Tables that were found to be named again.
  var shared = 0
  /// How many of these are let pass; 0 where refcount blocks are looked at too.
  let mostShared: Int

  /// Suspects that are looked into at once: few enough to hold, and many enough that an image with
  /// four million tables is read a few times only.
  static let mostSuspects = 16_384

  /// `filter` is empty.
  init(_ filter: TableFilter, mostShared: Int = 0) {
    self.filter = filter
    inactive = filter
    self.mostShared = mostShared
  }

  /// Whether looking on would change nothing: the filter is too small, or too much was found.
  var isDecided: Bool {
    filter.isCrowded || inactive.isCrowded || mostShared > 0 && shared > mostShared
  }
}
