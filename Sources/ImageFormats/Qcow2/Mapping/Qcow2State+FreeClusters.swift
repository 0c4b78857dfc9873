import BlockCore
import BlockIO

/// Clusters that entries name one behind the other, for guest clusters that do so too.
///
/// Isolation: value.
private struct NamedRun {
  var run: ClusterRun
  /// The guest offset of the first.
  var guest: Int
}

extension Qcow2State {
  /// Throws, and marks the image corrupt, where an L2 entry names a cluster that counts as free:
  /// whoever took it would write over what the entry shows.
  ///
  /// Looks once, before the first cluster is taken, at all active tables where these are few
  /// (`Limits.vettedTableBytes`). Where they are more, a cluster that is taken is looked for only
  /// in the slices that are to name it (`requireUnnamed`). Entries that are wrong by themselves are
  /// left to those who meet them.
  mutating func vetFreeClusters() throws(BlockError) {
    if areFreeClustersVetted { return }
    var runs: [NamedRun] = []
    for index in try fewTables() ?? [] {
      // An entry that names none is refused where it is met.
      guard let table = try? tableOffset(l1Index: index) else { continue }
      let piece = min(geometry.clusterSize, Qcow2State.scanBytes)
      for part in stride(from: 0, to: geometry.clusterSize, by: piece) {
        let guest = geometry.guestOffset(l1Index: index, l2Index: part / 8)
        try appendNames(at: table + part, count: piece, from: guest, to: &runs)
        if runs.count >= Qcow2State.vettedRuns { try requireCounted(&runs) }
      }
    }
    try requireCounted(&runs)
    areFreeClustersVetted = true
  }

  /// So many runs are looked at together: what fragmented tables name is all over the file, and in
  /// the order of its clusters the refcounts of a piece are met one after the other.
  private static var vettedRuns: Int { 32 << 10 }

  /// The L1 entries that name tables; nil where there are many.
  private func fewTables() throws(BlockError) -> [Int]? {
    let most = Limits.vettedTableBytes / geometry.clusterSize
    var list: [Int] = []
    try l1.forEachEntry(io) { (index, _) in
      list.append(index)
      return list.count <= most
    }
    return list.count <= most ? list : nil
  }

  /// Appends what the entries in `count` bytes at `offset` name, of which the first maps `guest`.
  private mutating func appendNames(
    at offset: Int, count: Int, from guest: Int, to runs: inout [NamedRun]
  ) throws(BlockError) {
    let buffer = scanBuffer ?? IOBuffer(count: Qcow2State.scanBytes)
    scanBuffer = buffer
    try io.read(.l2Table, at: offset, into: buffer, count: count)
    buffer.withBytes(0..<count) { bytes in
      if bytes.isAllZero { return }
      for index in 0..<count / 8 {
        let entry = L2Entry(word: bytes.bigEndian(at: index * 8))
        guard entry.word != 0, let run = namedRun(entry) else { continue }
        let position = guest + index << geometry.clusterBits
        if let last = runs.last, last.run.end == run.first, run.count == 1,
          last.guest + last.run.count << geometry.clusterBits == position
        {
          runs[runs.count - 1].run.count += 1
        } else {
          runs.append(NamedRun(run: run, guest: position))
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
    let distance = cluster.index - named.run.first.index
    let guest = named.guest + distance << geometry.clusterBits
    return markCorrupt(
      "Cluster \(cluster.index) counts as free, but the L2 entry for guest offset \(guest) "
        + "names it",
      at: geometry.offset(of: cluster))
  }
}
