import BlockCore
import BlockIO

/// All of an open image that changes: header, tables, caches, and what waits to be written.
///
/// Changes collect here and reach the disk through `writeOut` alone, in the order of `FlushPoint`.
///
/// Isolation: behind `Qcow2Image.state`; a function that needs the lock is a method here.
struct Qcow2State: ~Copyable {
  let io: MetadataIO
  let geometry: ClusterGeometry
  /// What is in memory of all tables.
  let pages: PageStore
  var header: Qcow2Header
  /// The active L1 table.
  var l1: PagedTable
  /// L2 tables.
  var l2: TableCache
  /// The refcount table.
  var refcountTable: PagedTable
  /// Where scans of L2 tables read to; made when first needed.
  var scanBuffer: IOBuffer?
  /// Refcount blocks.
  var refblocks: TableCache
  /// References that go once the entries that held them are durably gone.
  var pendingFrees: [ClusterRun] = []
  /// No cluster below is free.
  var firstFree = HostCluster(index: 0)
  /// No byte from here on was ever written: a cluster there reads zero without being zeroed.
  var highWater: Int
  /// The file's length as far as this driver has set it.
  var fileEnd: Int
  /// Where the file ends if it was made to reach ahead of what is in use (`growFile`); else 0.
  var aheadEnd = 0
  /// Where L2 tables, also those of snapshots, and refcount blocks may lie, so that no data lands
  /// on them; not looked for in an image that is only read.
  var tablePlaces = TableFilter(capacity: TableFilter.leastCapacity, clusters: 0)
  /// Where the snapshots' tables lie; not looked for in an image that is only read.
  var snapshots = SnapshotPlaces()
  /// Whether L1 entries are known to name no more than a few L2 tables twice (`boundSharing`).
  var isSharingBounded = false
  /// Whether tables are known not to contradict each other, or need not be looked at any more
  /// (`vetTables`).
  var areTablesVetted = false
  /// Clusters that entries named past the end of the file when tables were vetted (`vetTables`).
  var lostClusters: Set<HostCluster> = []
  /// Whether persistent bitmaps are freed with the first change.
  var dropsBitmaps = false
  /// Whether the header has been made ready for writing (`prepareToWrite`).
  var isPrepared = false
  /// Why nothing may be written; nil while it may.
  var readOnlyReason: BlockError?

  /// Name for errors.
  var name: String { io.storage.name }
}

/// Neighbouring clusters.
///
/// Isolation: value.
struct ClusterRun: Hashable, Sendable {
  var first: HostCluster
  var count: Int

  /// Appends the run, as one with the last where it goes on from there.
  static func append(_ run: ClusterRun, to list: inout [ClusterRun]) {
    if let last = list.last, last.end == run.first {
      list[list.count - 1].count += run.count
    } else {
      list.append(run)
    }
  }

  /// One past the last.
  var end: HostCluster { first + count }
}
