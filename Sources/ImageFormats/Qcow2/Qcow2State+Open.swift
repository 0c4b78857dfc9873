import BlockCore
import BlockIO

extension Qcow2State {
  /// Reads the header of the image on `io.storage` and, unless it is only to be read, looks through
  /// L1 tables, refcount table and snapshot table. `pages` holds nothing that is dirty.
  static func opening(
    _ io: MetadataIO, _ pages: PageStore, readOnly: Bool, forCheck: Bool = false
  ) throws(BlockError) -> Qcow2State {
    let size = try io.storage.size()
    let header = try Qcow2State.readHeader(io.storage, fileSize: size, forCheck: forCheck)
    pages.removeAll()
    var state = Qcow2State(header, io, pages, fileEnd: size)
    if !readOnly {
      state.snapshots = try SnapshotPlaces(header, io, fileEnd: size)
      try state.noteTables()
    }
    return state
  }

  /// The state of an image with this header, in a file that ends at `fileEnd`.
  init(_ header: Qcow2Header, _ io: MetadataIO, _ pages: PageStore, fileEnd: Int) {
    self.io = io
    self.pages = pages
    self.header = header
    self.fileEnd = fileEnd
    geometry = header.geometry
    l1 = PagedTable(l1: header, in: pages)
    refcountTable = PagedTable(refcountTable: header, in: pages)
    l2 = TableCache(.l2Table, sliceBytes: geometry.sliceBytes, in: pages)
    refblocks = TableCache(.refcountBlock, sliceBytes: geometry.sliceBytes, in: pages)
    highWater = io.storage.traits.isDevice ? Int.max : fileEnd
    readOnlyReason = header.refcountFault
  }

  /// Reads and decodes the header. A first read of 4 KiB tells the cluster's length; the rest of
  /// cluster 0 is read only where extensions or the backing name reach further.
  static func readHeader(
    _ storage: any Storage, fileSize: Int, forCheck: Bool = false
  ) throws(BlockError) -> Qcow2Header {
    var bytes = try readStart(storage, count: min(fileSize, 4096))
    let clusterBits = bytes.count >= 24 ? bytes.withBytes { $0.bigEndian(UInt32.self, at: 20) } : 0
    if (13...21).contains(clusterBits) {
      // Extensions may reach to the end of the cluster.
      bytes = try readStart(storage, count: min(fileSize, 1 << Int(clusterBits)))
    }
    return try Qcow2Header(
      decoding: bytes, fileSize: fileSize, file: storage.name, forCheck: forCheck)
  }

  private static func readStart(_ storage: any Storage, count: Int) throws(BlockError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    if count == 0 { return bytes }
    _ = try bytes.withMutableBytes { (target) throws(BlockError) in
      try storage.read(into: &target, at: 0)
    }
    return bytes
  }
}
