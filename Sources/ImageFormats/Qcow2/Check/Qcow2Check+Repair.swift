import BlockCore
import BlockIO

extension Qcow2Check {
  /// Whether stored refcounts are below the references, or cannot be found.
  var hasWrongRefcounts: Bool { isStructureBroken || !badBlocks.isEmpty || missing > 0 }

  /// Counts the stored refcounts of block `index` down to the references. Nothing refers to what
  /// becomes free, so that a crash in between leaves some of the leaks. Tests: `CrashSmokeTests`
  /// (repair of leaks).
  mutating func lower(block index: Int) throws(BlockError) {
    var leaks: [(cluster: Int, counted: UInt64)] = []
    let (found, lacking) = (result, missing)
    try compare(block: index) { (cluster, stored, counted) in
      if stored > counted { leaks.append((cluster, counted)) }
    }
    (result, missing) = (found, lacking)
    guard !leaks.isEmpty, let offset = try block(index) else { return }
    let refcounts = RefcountWords(geometry)
    let perSlice = geometry.sliceBytes / 8 * refcounts.perWord
    let first = index * geometry.refcountsPerBlock
    var rest = leaks[...]
    while let leak = rest.first {
      let slice = (leak.cluster - first) / perSlice
      let place = offset + slice * geometry.sliceBytes
      var words = try words(at: place, count: geometry.sliceBytes / 8)
      while let leak = rest.first, (leak.cluster - first) / perSlice == slice {
        refcounts.set(&words, (leak.cluster - first) % perSlice, to: leak.counted)
        rest.removeFirst()
      }
      try io.writeWords(words, .refcountBlock, at: place)
    }
  }

  /// Plans refcounts anew. The old ones are not counted any more: once the header names the new
  /// ones, their clusters are free.
  mutating func planRebuild() throws(BlockError) -> RefcountRebuild {
    if io.storage.traits.isDevice {
      throw BlockError(
        .unsupported, "Rebuilding the refcounts of an image on a device is not supported",
        file: io.storage.name)
    }
    for position in stride(from: 0, to: header.refcountTableBytes, by: Qcow2Check.readBytes) {
      let count = min(header.refcountTableBytes - position, Qcow2Check.readBytes) / 8
      for word in try words(at: header.refcountTableOffset + position, count: count) {
        let entry = RefcountTableEntry(word: word)
        if isSound(entry) { counts.subtract(entry.blockOffset >> geometry.clusterBits) }
      }
    }
    let table = ByteRange(at: header.refcountTableOffset, length: header.refcountTableBytes)
    if table.upper - fileBytes < geometry.clusterSize {
      for cluster in geometry.cluster(at: table.lower).index..<geometry.clusters(for: table.upper) {
        counts.subtract(cluster)
      }
    }
    isRebuilt = true
    let start = max(counts.clusters, geometry.clusters(for: fileBytes))
    return try RefcountRebuild(counts, geometry, start: start, file: io.storage.name)
  }

  /// Writes the block at `position` of new refcounts.
  func write(_ rebuild: RefcountRebuild, block position: Int) throws(BlockError) {
    let cluster = rebuild.start + rebuild.tableClusters + position
    try io.writeWords(
      rebuild.block(at: position, counts, geometry), .refcountBlock,
      at: cluster << geometry.clusterBits)
  }

  /// Writes the table of new refcounts, whose blocks stand, and has the header name it.
  ///
  /// Crash: up to `newRefcountTableBeforeHeader` the old refcounts, with the new ones past what
  /// they count; up to `headerBeforeOldRefcountTableFree` these or the new ones; after it the new
  /// ones.
  /// Tests: `CrashSmokeTests` (repair of all; each flush left out), `CheckRepairTests`.
  func switchRefcounts(to rebuild: RefcountRebuild) throws(BlockError) {
    let offset = rebuild.start << geometry.clusterBits
    try io.writeWords(rebuild.table(geometry), .refcountTable, at: offset)
    try io.flush(.newRefcountTableBeforeHeader)
    var field = [UInt8](repeating: 0, count: 12)
    field.withMutableBytes {
      $0.setBigEndian(UInt64(offset), at: 0)
      $0.setBigEndian(UInt32(rebuild.tableClusters), at: 8)
    }
    try io.write(field, .header, at: 48)
    try io.flush(.headerBeforeOldRefcountTableFree)
  }
}
