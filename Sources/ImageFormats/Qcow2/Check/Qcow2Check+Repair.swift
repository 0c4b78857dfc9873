import BlockCore
import BlockIO

extension Qcow2Check {
  /// Whether stored refcounts are below the references, or cannot be found.
  var hasWrongRefcounts: Bool { isStructureBroken || !badBlocks.isEmpty || missing > 0 }

  /// Whether refcounts cannot be corrected where they are. One of 0 for something in use is QEMU's
  /// sign, too, that they are not those of this image.
  var needsRebuild: Bool { isStructureBroken || !badBlocks.isEmpty || forgotten > 0 }

  /// Counts the stored refcounts of block `index` down to the references, and with `raises` also up
  /// to them. A crash in between leaves each as it was or right. Tests: `CrashSmokeTests` (repair
  /// of leaks), `DeviceRepairTests`.
  mutating func correct(block index: Int, raises: Bool) throws(BlockError) {
    var wrong: [(cluster: Int, counted: UInt64)] = []
    let found = (result, missing, forgotten)
    try compare(block: index) { (cluster, stored, counted) in
      if raises || stored > counted { wrong.append((cluster, counted)) }
    }
    (result, missing, forgotten) = found
    guard !wrong.isEmpty, let offset = try block(index) else { return }
    let refcounts = RefcountWords(geometry)
    let perSlice = geometry.sliceBytes / 8 * refcounts.perWord
    let first = index * geometry.refcountsPerBlock
    var rest = wrong[...]
    while let next = rest.first {
      let slice = (next.cluster - first) / perSlice
      let place = offset + slice * geometry.sliceBytes
      var words = try words(at: place, count: geometry.sliceBytes / 8)
      while let next = rest.first, (next.cluster - first) / perSlice == slice {
        refcounts.set(&words, (next.cluster - first) % perSlice, to: next.counted)
        rest.removeFirst()
      }
      try io.writeWords(words, .refcountBlock, at: place)
    }
  }

  /// Plans refcounts anew. The old ones are not counted any more: once the header names the new
  /// ones, their clusters are free.
  ///
  /// - Throws: `noSpace` where a device has no room for both.
  mutating func planRebuild() throws(BlockError) -> RefcountRebuild {
    let old = try refcountClusters()
    old.forEach { discount($0) }
    let used = counts.usedBlocks(geometry)
    // They stay whole up to the switch, so the new ones lie elsewhere.
    for cluster in old where counts.add(cluster) > 0 { uncounted[cluster, default: 0] += 1 }
    let rebuild: RefcountRebuild
    do {
      rebuild = try planRebuild(used, behind: lostEnd)
    } catch let error where error.code == .noSpace && lostEnd > 0 {
      // No refcount table, or no file, reaches so far: the entry that says so is wrong itself.
      rebuild = try planRebuild(used, behind: 0)
    }
    old.forEach { discount($0) }
    isRebuilt = true
    return rebuild
  }

  private func planRebuild(
    _ used: [Int], behind lostEnd: Int
  ) throws(BlockError) -> RefcountRebuild {
    if lostEnd > Qcow2Check.longestFile {
      throw BlockError(.noSpace, "No file system has room there", file: io.storage.name)
    }
    return try RefcountRebuild(
      used, in: try refcountRoom(behind: lostEnd), counts, geometry, file: io.storage.name)
  }

  /// 8 TiB: ext4 in blocks of 4 KiB has files of twice that length.
  private static var longestFile: Int { 8 << 40 }

  /// Takes a reference of the stored refcounts to `cluster` back.
  private mutating func discount(_ cluster: Int) {
    if let surplus = uncounted[cluster] {
      uncounted[cluster] = surplus == 1 ? nil : surplus - 1
    } else {
      counts.subtract(cluster)
    }
  }

  /// The clusters of the refcount table and of its blocks that were counted as such.
  private func refcountClusters() throws(BlockError) -> [Int] {
    var list: [Int] = []
    for position in stride(from: 0, to: header.refcountTableBytes, by: Qcow2Check.readBytes) {
      let count = min(header.refcountTableBytes - position, Qcow2Check.readBytes) / 8
      for word in try words(at: header.refcountTableOffset + position, count: count) {
        let entry = RefcountTableEntry(word: word)
        if isSound(entry) { list.append(entry.blockOffset >> geometry.clusterBits) }
      }
    }
    let table = ByteRange(at: header.refcountTableOffset, length: header.refcountTableBytes)
    if table.upper - fileBytes < geometry.clusterSize {
      list += geometry.cluster(at: table.lower).index..<geometry.clusters(for: table.upper)
    }
    return list
  }

  /// A file has room past its end, and past what entries name behind it: once the file is longer,
  /// somebody would take what lies there for what was lost. A device
  /// ends where it ends: behind the last cluster that has references or a refcount, then in gaps.
  private func refcountRoom(behind lostEnd: Int) throws(BlockError) -> RefcountRoom {
    guard io.storage.traits.isDevice else {
      let start = max(counts.clusters, geometry.clusters(for: max(fileBytes, lostEnd)))
      return RefcountRoom(tail: start..<Int.max >> geometry.clusterBits, gaps: 0..<0)
    }
    let end = try io.storage.size() >> geometry.clusterBits
    var last = highestCluster
    counts.forEachCounted { (cluster, _) in last = max(last, cluster) }
    let start = min(last + 1, end)
    return RefcountRoom(tail: start..<end, gaps: 0..<start)
  }

  /// Writes the block at `position` of new refcounts.
  func write(_ rebuild: RefcountRebuild, block position: Int) throws(BlockError) {
    try io.writeWords(
      rebuild.blockWords(at: position, counts, geometry), .refcountBlock,
      at: rebuild.places[position] << geometry.clusterBits)
  }

  /// Writes the table of new refcounts, whose blocks stand, and has the header name it.
  ///
  /// Crash: up to `newRefcountTableBeforeHeader` the old refcounts, with the new ones where nobody
  /// looks; up to `headerBeforeOldRefcountTableFree` these or the new ones; after it the new
  /// ones.
  /// Tests: `CrashSmokeTests` (repair of all; each flush left out), `DeviceRepairTests` (in a
  /// device's gaps), `CheckRepairTests`.
  func switchRefcounts(to rebuild: RefcountRebuild) throws(BlockError) {
    let offset = rebuild.table.lowerBound << geometry.clusterBits
    try io.writeWords(rebuild.tableWords(geometry), .refcountTable, at: offset)
    try io.flush(.newRefcountTableBeforeHeader)
    var field = [UInt8](repeating: 0, count: 12)
    field.withMutableBytes {
      $0.setBigEndian(UInt64(offset), at: 0)
      $0.setBigEndian(UInt32(rebuild.table.count), at: 8)
    }
    try io.write(field, .header, at: 48)
    try io.flush(.headerBeforeOldRefcountTableFree)
  }
}
