import BlockCore

extension Qcow2State {
  /// Frees the persistent bitmaps and removes their extension.
  ///
  /// Crash: the extension goes first, in one write of its type word; before that nothing has
  /// changed but the autoclear bit (the bitmaps count as stale), after it their clusters leak until
  /// `flush` has freed them: it does so after a flush, so that no extension names free clusters.
  ///
  /// Tests: `CrashSmokeTests` (an image with a bitmap), `HostileBitmapTests`.
  mutating func dropBitmaps() throws(BlockError) {
    guard let data = header.extensionData(HeaderExtension.bitmaps) else { return }
    guard header.extensions.last?.type == HeaderExtension.bitmaps else {
      throw BlockError(
        .unsupported, "The bitmaps cannot be dropped: other header extensions follow theirs",
        file: name)
    }
    let (count, size, offset) = data.withBytes {
      (
        Int($0.bigEndian(UInt32.self, at: 0)), $0.bigEndian(UInt64.self, at: 8),
        $0.bigEndian(UInt64.self, at: 16)
      )
    }
    let runs = try bitmapClusters(count: count, directory: offset, bytes: size)
    try requireUnshared(runs)
    let extensionOffset =
      header.headerLength + header.extensions.dropLast().reduce(0) { $0 + $1.encodedLength }
    // Type 0 ends the list.
    try io.write([0, 0, 0, 0], .header, at: extensionOffset)
    header.extensions.removeLast()
    for run in runs { ClusterRun.append(run, to: &pendingFrees) }
    try flush()
  }

  /// Directory and tables of all bitmaps together: 4 MiB of tables name half a million clusters,
  /// far above what disks need, and bound what an image that lies can make us read and hold.
  private static var bitmapTableBytes: Int { 4 << 20 }

  /// The clusters of the directory, of each bitmap's table and of each bitmap's data.
  private func bitmapClusters(
    count: Int, directory: UInt64, bytes: UInt64
  ) throws(BlockError) -> [ClusterRun] {
    let place = try bitmapPlace("bitmap directory", directory, bytes: bytes)
    var runs = [try bitmapClusters(place)]
    let entries = try io.readWords(.header, at: place.lower, count: place.length / 8)
    var tableBytes = place.length
    var word = 0
    for index in 0..<count {
      guard word + 3 <= entries.count else { throw badBitmap("directory ends in entry \(index)") }
      let tableEntries = entries[word + 1] >> 32
      let extra = Int(entries[word + 2] & 0xffff_ffff)
      let nameBytes = Int(entries[word + 2] >> 32 & 0xffff)
      let table = try bitmapPlace("bitmap table", entries[word], bytes: tableEntries * 8)
      tableBytes += table.length
      guard tableBytes <= Qcow2State.bitmapTableBytes else {
        throw badBitmap("their tables take more than \(Qcow2State.bitmapTableBytes) bytes")
      }
      runs.append(try bitmapClusters(table))
      for entry in try io.readWords(.header, at: table.lower, count: table.length / 8) {
        let offset = entry & 0x00ff_ffff_ffff_fe00
        if offset == 0 { continue }
        let data = try bitmapPlace("bitmap data", offset, bytes: UInt64(geometry.clusterSize))
        runs.append(try bitmapClusters(data))
      }
      word += 3 + (extra + nameBytes).dividedRoundingUp(by: 8)
    }
    return runs
  }

  private func bitmapClusters(_ range: ByteRange) throws(BlockError) -> ClusterRun {
    let run = ClusterRun(
      first: geometry.cluster(at: range.lower), count: geometry.clusters(for: range.length))
    if let region = try overlapsMetadata(run) {
      throw badBitmap("what they name at byte \(range.lower) is the \(region.rawValue)")
    }
    return run
  }

  /// Throws where a cluster that the bitmaps name is free, is named by them twice, or is anybody
  /// else's too: of the guest, of a snapshot, of a table. A refcount of 1 does not tell whose it
  /// is, so all references are counted; that reads every table once, for who wants bitmaps gone.
  private mutating func requireUnshared(_ runs: [ClusterRun]) throws(BlockError) {
    // The header on disk calls the bitmaps inconsistent by now, so they are not counted.
    var others = try CheckRun(io)
    try others.countReferences()
    let runs = runs.sorted { $0.first < $1.first }
    for (index, run) in runs.enumerated() {
      if index > 0, runs[index - 1].end > run.first {
        throw badBitmap("they name cluster \(run.first.index) twice")
      }
      for cluster in (0..<run.count).map({ run.first + $0 }) {
        guard others.check.counts[cluster.index] == 0 else {
          throw badBitmap("they name cluster \(cluster.index), which is not theirs alone")
        }
        guard try refcount(of: cluster) > 0 else {
          throw badBitmap("they name cluster \(cluster.index), whose refcount is 0")
        }
      }
    }
  }

  /// A range that is cluster-aligned and inside the file.
  private func bitmapPlace(
    _ what: String, _ offset: UInt64, bytes: UInt64
  ) throws(BlockError) -> ByteRange {
    guard let offset = Int(exactly: offset), let bytes = Int(exactly: bytes), offset > 0,
      geometry.offsetInCluster(offset) == 0, bytes > 0, bytes <= Qcow2State.bitmapTableBytes,
      offset <= fileEnd, bytes <= fileEnd - offset
    else { throw badBitmap("\(what) has offset \(offset), length \(bytes)") }
    return ByteRange(at: offset, length: bytes)
  }

  private func badBitmap(_ sentence: String) -> BlockError {
    BlockError(.invalidImage, "The bitmaps are damaged: \(sentence)", file: name)
  }
}
