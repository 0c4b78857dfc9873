import BlockCore
import BlockIO

/// A check under way: the references found so far, and what is wrong.
///
/// References are counted per cluster, first those of the active L1 table and of the snapshots' to
/// L2 tables, then those of each L2 table, read once however many L1 tables share it, then those of
/// everything else; then they are compared with the stored refcounts. Neither memory nor time goes
/// by a number that the image names, or by the file's length: only by what was read, and holes are
/// not.
///
/// Isolation: value of one owner.
struct Qcow2Check: ~Copyable {
  let io: MetadataIO
  let header: Qcow2Header
  var result = CheckResult()
  var counts: ReferenceCounts
  /// Wrong COPIED flags among the corruptions: they follow from refcounts.
  var wrongFlags = 0
  /// The file's length in whole sectors, as QEMU sees it.
  let fileBytes: Int
  /// A part of the refcount table.
  var refcountTable = TableWindow(first: 0, words: [])
  /// References to the clusters that are compared.
  var countedBuffer: [UInt32] = []
  /// Where tables are read to: no more than a short file holds.
  let buffer: IOBuffer
  /// Refcount blocks that cannot be read, by index.
  var badBlocks: Set<Int> = []
  /// L2 tables in the file's order, with the number of L1 entries that name each.
  var tables: [TableUse] = []
  /// L2 tables that do not begin on a cluster.
  var strayTables: [StrayTable] = []
  /// L1 tables that were walked, and other metadata that must have exactly one reference.
  var exclusive: [ByteRange] = []
  /// Bytes of tables that may still be read: tables that do not overlap are not more than the file.
  var tableBudget: Int
  /// The same for what of them is data.
  var dataBudget: DataBudget
  /// The snapshots' L1 tables, and their table's length.
  var snapshotTables: [ByteRange] = []
  var snapshotTableBytes = 0
  /// Clusters of the snapshots' L1 tables.
  var l1Clusters = 0
  /// The bitmaps' tables.
  var bitmapTables: [ByteRange] = []
  /// Whether snapshots or bitmaps are there of which it cannot be told what they refer to: what
  /// looks leaked may be theirs, so nothing is freed.
  var hasUnknownReferences = false
  /// Whether refcount blocks are not where they must be, so that none may be changed in place.
  var isStructureBroken = false
  /// Whether the stored refcounts are those of a rebuild.
  var isRebuilt = false
  /// Entries for zeros whose cluster is not aligned, which need none.
  var unalignedZeros = 0
  /// Clusters whose stored refcount is below the references, and those of them where it is 0.
  var missing = 0
  var forgotten = 0
  /// Whether a cluster has more references than a refcount can hold, those of the refcounts' own
  /// table and blocks left aside.
  var hasExcess = false
  /// How many of these last were above the maximum of their cluster, and so are not counted.
  var uncounted: [Int: Int] = [:]
  /// The end of what entries name past the file's end, in bytes, as far as they could be right
  /// about it: nothing new may lie there.
  var lostEnd = 0
  /// The highest cluster that has references, or a refcount.
  var highestCluster = 0

  /// Bytes of one read, and about what one step takes on.
  static var readBytes: Int { 1 << 20 }

  /// Reads the header of the image on `io` afresh.
  init(_ io: MetadataIO) throws(BlockError) {
    let size = try io.storage.size()
    let header = try Qcow2State.readHeader(io.storage, fileSize: size, forCheck: true)
    let geometry = header.geometry
    let clusters = geometry.clusters(for: size)
    guard clusters <= Int(Int32.max) else {
      throw BlockError(
        .unsupported, "A file of \(clusters) clusters is too large to be checked",
        file: io.storage.name)
    }
    self.io = io
    self.header = header
    fileBytes = size.roundedUp(to: 512)
    let longest = max(geometry.clusterSize, size.roundedUp(to: geometry.clusterSize))
    buffer = IOBuffer(count: min(Qcow2Check.readBytes, longest))
    tableBudget = fileBytes
    dataBudget = DataBudget(io.storage)
    counts = ReferenceCounts(clusters: clusters, geometry)
    result.totalClusters = geometry.clusters(for: header.size.roundedDown(to: 512))
  }

  var geometry: ClusterGeometry { header.geometry }

  /// Counts a reference to each cluster that the bytes touch. The file's last cluster may be there
  /// in part only; what lies further outside is damage.
  mutating func reference(
    _ offset: Int, bytes count: Int, times: UInt32 = 1
  ) throws(BlockError) {
    if count <= 0 { return }
    guard let clusters = clusters(offset, bytes: count) else {
      let (end, overflow) = offset.addingReportingOverflow(count)
      if !overflow, end / 64 <= fileBytes { lostEnd = max(lostEnd, end) }
      return result.note(
        \.corruptions, times: Int(times),
        "ERROR: counting reference for region exceeding the end of the file by one cluster or "
          + "more: offset \(hex(offset)) size \(hex(count))")
    }
    try self.count(clusters.lowerBound, count: clusters.count, times: times)
  }

  /// The clusters that the bytes touch; nil where one lies wholly past the file's end.
  private func clusters(_ offset: Int, bytes count: Int) -> Range<Int>? {
    let (end, overflow) = offset.addingReportingOverflow(count)
    guard !overflow, end - fileBytes < geometry.clusterSize else { return nil }
    return offset >> geometry.clusterBits..<geometry.clusters(for: end)
  }

  /// Counts references to clusters that lie in the file, or just past it.
  mutating func count(_ first: Int, count: Int, times: UInt32) throws(BlockError) {
    if try add(first, count: count, times: times) > 0 { hasExcess = true }
  }

  /// Counts a reference to each cluster that a part of the stored refcounts touches. Where one is
  /// more than a refcount holds, something else lies there, and the refcounts are not to be kept.
  mutating func countRefcounts(_ offset: Int, bytes count: Int) throws(BlockError) {
    guard count > 0, let clusters = clusters(offset, bytes: count) else {
      return try reference(offset, bytes: count)
    }
    for cluster in clusters where try add(cluster, count: 1, times: 1) > 0 {
      uncounted[cluster, default: 0] += 1
      isStructureBroken = true
    }
  }

  /// Counts references. Returns how many were more than a refcount holds.
  private mutating func add(_ first: Int, count: Int, times: UInt32) throws(BlockError) -> Int {
    let excess = counts.add(first, count: count, times: times)
    if excess > 0 {
      let offset = first << geometry.clusterBits
      result.note(
        \.corruptions, times: excess, "ERROR: overflow cluster offset=\(hex(offset))")
    }
    try counts.requireFitting(file: io.storage.name)
    return excess
  }

  func requireFittingCounts() throws(BlockError) {
    try counts.requireFitting(file: io.storage.name)
  }

  /// The first part of `table` from byte `position` of it on that holds anything, no longer than a
  /// read; nil where there is none. Each is to be read once.
  mutating func nextPart(of table: ByteRange, from position: Int) throws(BlockError) -> ByteRange? {
    let part = try nextData(of: table, from: position)
    if let part { try dataBudget.take(part.length) }
    return part
  }

  /// The same, however often it is read.
  func nextData(of table: ByteRange, from position: Int) throws(BlockError) -> ByteRange? {
    var rest = table.dropping(position)
    while !rest.isEmpty {
      let extent = try io.storage.extent(in: rest)
      // A word may lie in both.
      if extent.isData || extent.range.length < 8 {
        let length = min(
          extent.range.length.roundedUp(to: 8), rest.length, Qcow2Check.readBytes)
        return ByteRange(at: rest.lower, length: length)
      }
      rest = rest.dropping(extent.range.length.roundedDown(to: 8))
    }
    return nil
  }

  /// Reads into the buffer; what lies past the file's end is zeros.
  func read(_ offset: Int, count: Int) throws(BlockError) {
    try buffer.withMutableBytes(0..<count) { (bytes) throws(BlockError) in
      try read(into: &bytes, at: offset)
    }
  }

  /// A refcount block may be said to lie anywhere below 2^63, where no file reaches.
  private func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) {
    if offset > Int.max - bytes.byteCount { return bytes.zero() }
    _ = try io.storage.read(into: &bytes, at: offset)
  }

  /// `count` words of a table; what lies past the file's end is zeros.
  func words(at offset: Int, count: Int) throws(BlockError) -> [UInt64] {
    var bytes = [UInt8](repeating: 0, count: count * 8)
    return try bytes.withMutableBytes { (target) throws(BlockError) in
      try read(into: &target, at: offset)
      return (0..<count).map { target.bigEndian(at: $0 * 8) }
    }
  }

  /// Whether the COPIED flag of an entry for `cluster` is wrong: it must be set exactly where the
  /// stored refcount is 1. What cannot be told is not wrong.
  mutating func isWrong(copied: Bool, for cluster: Int) throws(BlockError) -> Bool {
    if !badBlocks.isEmpty,
      badBlocks.contains(geometry.refcountBlockIndex(HostCluster(index: cluster)))
    {
      return false
    }
    if cluster < counts.clusters { return counts.isStoredOne(cluster) != copied }
    guard let stored = try storedRefcount(cluster) else { return false }
    return (stored == 1) != copied
  }
}

/// `number` in hexadecimal, as errors show it.
func hex(_ number: some BinaryInteger) -> String { "0x" + String(number, radix: 16) }

/// Some neighbouring entries of the refcount table.
///
/// Isolation: value.
struct TableWindow {
  /// Entries read at once.
  static let entries = 4096
  var first: Int
  var words: [UInt64]
  var range: Range<Int> { first..<first + words.count }
}

/// An L2 table and how many L1 entries name it.
///
/// Isolation: value.
struct TableUse {
  /// Its cluster's number; below 2^31.
  var cluster: UInt32
  /// Entries of the active L1 table.
  var active: UInt32
  /// Entries of all L1 tables.
  var total: UInt32
  /// Whether its entries have been repaired.
  var isRepaired = false
}

/// An L2 table at an offset that is no cluster's.
///
/// Isolation: value.
struct StrayTable {
  var offset: Int
  var isActive: Bool
}
