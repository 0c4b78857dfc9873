import BlockCore
import BlockIO

extension Qcow2State {
  /// Reads header, L1 and refcount table of the image on `io.storage`, and checks them.
  init(opening io: MetadataIO, cacheBytes: Int) throws(BlockError) {
    let storage = io.storage
    let size = try storage.size()
    let header = try Qcow2State.readHeader(storage, fileSize: size)
    let l1 =
      header.l1Entries == 0
      ? [] : try io.readWords(.l1Table, at: header.l1Offset, count: header.l1Entries)
    let refcountTable = try Qcow2State.readRefcountTable(io, header, fileSize: size)
    self.init(
      header, l1: l1, refcountTable: refcountTable, io, cacheBytes: cacheBytes, fileEnd: size)
  }

  /// The state of an image with these tables, in a file that ends at `fileEnd`.
  init(
    _ header: Qcow2Header, l1: [UInt64], refcountTable: [UInt64], _ io: MetadataIO,
    cacheBytes: Int, fileEnd: Int
  ) {
    self.io = io
    self.header = header
    self.cacheBytes = cacheBytes
    self.l1 = l1
    self.refcountTable = refcountTable
    self.fileEnd = fileEnd
    geometry = header.geometry
    let slice = geometry.sliceBytes
    l2 = TableCache(.l2Table, sliceBytes: slice, bytes: cacheBytes / 2)
    refblocks = TableCache(.refcountBlock, sliceBytes: slice, bytes: cacheBytes / 2)
    highWater = io.storage.traits.isDevice ? Int.max : fileEnd
    readOnlyReason = header.refcountFault
    noteTables()
  }

  /// Reads and decodes the header. A first read of 4 KiB tells the cluster's length; the rest of
  /// cluster 0 is read only where extensions or the backing name reach further.
  static func readHeader(
    _ storage: any Storage, fileSize: Int
  ) throws(BlockError) -> Qcow2Header {
    var bytes = try readStart(storage, count: min(fileSize, 4096))
    let clusterBits = bytes.count >= 24 ? bytes.withBytes { $0.bigEndian(UInt32.self, at: 20) } : 0
    if (13...21).contains(clusterBits) {
      // Extensions may reach to the end of the cluster.
      bytes = try readStart(storage, count: min(fileSize, 1 << Int(clusterBits)))
    }
    return try Qcow2Header(decoding: bytes, fileSize: fileSize, file: storage.name)
  }

  private static func readStart(_ storage: any Storage, count: Int) throws(BlockError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    if count == 0 { return bytes }
    _ = try bytes.withMutableBytes { (target) throws(BlockError) in
      try storage.read(into: &target, at: 0)
    }
    return bytes
  }

  /// The refcount table; its last cluster may be cut off by the end of the file.
  private static func readRefcountTable(
    _ io: MetadataIO, _ header: Qcow2Header, fileSize: Int
  ) throws(BlockError) -> [UInt64] {
    let count = header.refcountTableBytes / 8
    let present = min(count, (fileSize - header.refcountTableOffset) / 8)
    let words = try io.readWords(.refcountTable, at: header.refcountTableOffset, count: present)
    return words + [UInt64](repeating: 0, count: count - present)
  }

  /// Notes where L2 tables and refcount blocks lie. Two tables in one place, or a refcount block
  /// that is none, make the image read-only: changing one would change the other.
  mutating func noteTables() {
    tableClusters.removeAll()
    for word in l1 where word != 0 {
      let cluster = geometry.cluster(at: L1Entry(word: word).tableOffset)
      if cluster.index > 0 { noteTable(.l2Table, at: cluster) }
    }
    for (index, word) in refcountTable.enumerated() where word != 0 {
      do throws(BlockError) {
        _ = try refcountBlock(entry: index)
        let cluster = geometry.cluster(at: RefcountTableEntry(word: word).blockOffset)
        noteTable(.refcountBlock, at: cluster)
      } catch {
        readOnlyReason = readOnlyReason ?? error
      }
    }
  }

  private mutating func noteTable(_ region: MetadataRegion, at cluster: HostCluster) {
    guard let other = overlapsMetadata(ClusterRun(first: cluster, count: 1)) else {
      tableClusters[cluster] = region
      return
    }
    if readOnlyReason != nil { return }
    let offset = geometry.offset(of: cluster)
    readOnlyReason = BlockError(
      .corrupt, "A \(region.rawValue) lies where the \(other.rawValue) is", file: name,
      offset: offset)
  }

  /// Whether `run` touches the header, a table, a refcount block or the snapshots' table: places
  /// where guest data must never be written, whatever an entry or a refcount says.
  func overlapsMetadata(_ run: ClusterRun) -> MetadataRegion? {
    let bytes = geometry.bytes(of: run.first, count: run.count)
    if run.first.index == 0 { return .header }
    if bytes.overlaps(ByteRange(at: header.l1Offset, length: header.l1Bytes)) { return .l1Table }
    let refcountTableRange = ByteRange(
      at: header.refcountTableOffset, length: header.refcountTableBytes)
    if bytes.overlaps(refcountTableRange) { return .refcountTable }
    if header.snapshotCount > 0, bytes.contains(header.snapshotsOffset) { return .snapshotTable }
    for index in 0..<run.count {
      if let region = tableClusters[run.first + index] { return region }
    }
    return nil
  }
}
