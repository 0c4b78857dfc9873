import BlockCore
import BlockIO
import Glibc

extension Qcow2State {
  /// Takes up to `count` neighbouring free clusters, at least one, the lowest there are. Their
  /// refcount is 1 in memory; nothing refers to them yet, so that a crash leaks them at worst.
  mutating func allocate(upTo count: Int) throws(BlockError) -> ClusterRun {
    precondition(count > 0)
    try vetTables()
    var cluster = firstFree
    while true {
      switch try freeRun(from: cluster, upTo: count) {
      case .none(let next): cluster = next
      case .needsBlock:
        if try addRefcountBlock(for: cluster, in: cluster) { cluster = cluster + 1 }
      case .found(var run):
        firstFree = run.first
        if io.storage.traits.isDevice {
          // The last clusters of a device may be fewer than were asked for.
          let left = (fileEnd >> geometry.clusterBits) - run.first.index
          if left > 0 { run.count = min(run.count, left) }
        }
        try claim(run)
        firstFree = run.end
        return run
      }
    }
  }

  /// Takes exactly `count` neighbouring clusters; a table must lie in one piece.
  mutating func allocateContiguous(_ count: Int) throws(BlockError) -> ClusterRun {
    precondition(count > 0)
    try vetTables()
    var run = ClusterRun(first: firstFree, count: 0)
    while run.count < count {
      switch try freeRun(from: run.end, upTo: count - run.count) {
      case .none(let next): run = ClusterRun(first: next, count: 0)
      case .needsBlock:
        // The block takes the run's first cluster, not the next one: however few clusters one
        // block counts, the run goes on.
        if try addRefcountBlock(for: run.end, in: run.first) {
          run = ClusterRun(first: run.first + 1, count: max(0, run.count - 1))
        }
      case .found(let found) where found.first == run.end: run.count += found.count
      case .found(let found): run = found
      }
    }
    try claim(run)
    return run
  }

  /// Sets the refcounts of a free run to 1, unless something that must not be overwritten lies
  /// there: then the refcounts lie, and the image is marked corrupt before any damage.
  private mutating func claim(_ run: ClusterRun) throws(BlockError) {
    if let region = try overlapsMetadata(run) {
      throw markCorrupt(
        "Cluster \(run.first.index) counts as free, but the \(region.rawValue) lies there",
        at: geometry.offset(of: run.first))
    }
    try requireNotLost(run)
    guard geometry.offset(of: run.end) <= Qcow2State.largestOffset else {
      throw BlockError(.noSpace, "The image file would grow past 2^55 bytes", file: name)
    }
    if io.storage.traits.isDevice, geometry.offset(of: run.end) > fileEnd {
      throw BlockError(.noSpace, "The device is full (\(fileEnd) bytes)", file: name)
    }
    try adjustRefcounts(run, up: true)
  }

  /// Throws, and marks the image corrupt, where an entry names a cluster of `run` that was lost
  /// with the end of the file. What was found when tables were vetted may be named by none any
  /// more: all of it is looked for again then.
  mutating func requireNotLost(_ run: ClusterRun) throws(BlockError) {
    guard firstLost(in: run) != nil else { return }
    lostClusters = try clustersNamedNow(of: lostClusters)
    guard let cluster = firstLost(in: run) else { return }
    throw markCorrupt(
      "Cluster \(cluster.index) counts as free, but an L2 entry names it, past the end of the "
        + "file", at: geometry.offset(of: cluster))
  }

  private func firstLost(in run: ClusterRun) -> HostCluster? {
    if lostClusters.isEmpty { return nil }
    return (0..<run.count).lazy.map { run.first + $0 }.first(where: lostClusters.contains)
  }

  /// "Bits 9 - 55" of an L2 entry.
  private static var largestOffset: Int { 1 << 56 }

  /// Gives back clusters that nothing on disk refers to.
  mutating func freeUnreferenced(_ run: ClusterRun) {
    // A failure leaks them, which `check` finds; the error that led here is the one to report.
    try? adjustRefcounts(run, up: false)
  }

  /// Whether the clusters have never been written, so that they read zero; marks them as used.
  mutating func takeVirginity(_ run: ClusterRun) -> Bool {
    let isVirgin = geometry.offset(of: run.first) >= highWater
    if highWater != Int.max { highWater = max(highWater, geometry.offset(of: run.end)) }
    return isVirgin
  }

  /// Makes new table clusters read zero on disk and lie inside the file.
  mutating func zeroTable(_ run: ClusterRun, _ what: MetadataRegion) throws(BlockError) {
    let range = geometry.bytes(of: run.first, count: run.count)
    if takeVirginity(run) {
      try growFile(to: range.upper, ahead: what == .l2Table)
    } else {
      try io.zero(range, what)
      fileEnd = max(fileEnd, range.upper)
    }
  }

  /// Where the file has to reach so that all clusters in use lie inside. Those that a write took
  /// and gave back, for lack of room perhaps, do not make it longer.
  mutating func usedEnd() throws(BlockError) -> Int {
    guard highWater != Int.max else { return fileEnd }
    var end = highWater
    while end > fileEnd, try refcount(of: geometry.cluster(at: end - 1)) == 0 {
      end -= geometry.clusterSize
    }
    return max(end, fileEnd)
  }

  /// Lets the file reach at least to `end`; with `ahead` some way beyond it, because a file system
  /// takes as long for a small step as for a large one. `flush` cuts off what was not needed.
  ///
  /// Crash: the file may be longer than what is in use, by a hole that nothing refers to. Tests:
  /// `GrowthTests`, `CrashSmokeTests`.
  mutating func growFile(to end: Int, ahead: Bool = false) throws(BlockError) {
    if end <= fileEnd || io.storage.traits.isDevice { return }
    if end > aheadEnd {
      let size = try io.storage.size()
      let far = end + Qcow2State.clustersAhead << geometry.clusterBits
      if ahead && far > size {
        aheadEnd = try lengthen(to: far, atLeast: max(end, size))
      } else {
        try io.storage.truncate(to: max(end, size))
      }
    }
    fileEnd = end
  }

  /// Makes the file `far` bytes long, or `near` where no file may be as long; returns which.
  private func lengthen(to far: Int, atLeast near: Int) throws(BlockError) -> Int {
    do {
      try io.storage.truncate(to: far)
      return far
    } catch let error where error.errno == EFBIG {
      try io.storage.truncate(to: near)
      return near
    }
  }

  private static var clustersAhead: Int { 64 }

  /// Cuts off what the file was made to reach ahead of all clusters in use, unless somebody has
  /// written past that.
  mutating func cutAhead() throws(BlockError) {
    let end = try usedEnd()
    if aheadEnd > end, try io.storage.size() == aheadEnd {
      try io.storage.truncate(to: end)
    }
    aheadEnd = 0
  }

  /// Marks the image corrupt on disk, before the write that would destroy something, and refuses
  /// all later ones. Returns the error to throw.
  ///
  /// Crash: before `corruptBit` the image with or without the mark, and nothing destroyed; after it
  /// the mark. Tests: `CrashSmokeTests` (refuse), `VettingTests`.
  mutating func markCorrupt(_ message: String, at offset: Int) -> BlockError {
    markCorrupt(BlockError(.corrupt, message, file: name, offset: offset))
  }

  /// The same for a contradiction that `error` tells of already.
  mutating func markCorrupt(_ found: BlockError) -> BlockError {
    var error = found
    if readOnlyReason == nil, header.version >= 3, !header.incompatible.contains(.corrupt) {
      let marked = header.incompatible.union(.corrupt)
      do {
        try io.writeWords([marked.rawValue], .header, at: 72)
        try io.flush(.corruptBit)
        header.incompatible = marked
      } catch let failure {
        error.message += "; marking the image corrupt failed too: \(failure.message)"
      }
    }
    readOnlyReason = error
    return error
  }
}
