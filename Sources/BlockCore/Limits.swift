/// Every maximum of the engine with its reason. Protocol limits stand with the protocol.
package enum Limits {
  /// L1 table: 32 MiB, as QEMU. It maps 2 PiB in clusters of 64 KiB, 2 EiB in those of 2 MiB.
  package static let l1TableBytes = 32 << 20
  /// Refcount table: 8 MiB, as QEMU.
  package static let refcountTableBytes = 8 << 20
  /// L2 tables that are read once more because a second L1 entry names them, in bytes: so many that
  /// a damaged image can be saved, and so few that nobody is kept busy. A sound image has none.
  package static let sharedTableBytes = 64 << 20
  /// L2 tables that are looked through before the first cluster of an image is taken, in bytes:
  /// those of 128 GiB of data in clusters of 64 KiB. It takes some milliseconds, or some tenths of
  /// a second where every entry names a place far from all others. So many of the snapshots' L1
  /// tables are looked through, too, when an image is opened for writing.
  package static let vettedTableBytes = 16 << 20
  /// Counters of a check, beside what they may take for each entry and refcount that was read: of
  /// a quarter of a million clusters that lie far apart.
  package static let checkBytes = 24 << 20
  /// Tables that a check reads beside as many bytes as the file holds: more name the same bytes
  /// over and over.
  package static let checkTableBytes = 64 << 20
  /// Clusters of L1 tables that a check counts: those of 512 GiB in clusters of 64 KiB.
  package static let checkL1Clusters = 8 << 20
  /// Internal snapshots, as QEMU.
  package static let snapshots = 65_536
  /// Names of snapshots that are shown, in bytes, with 16 for each: of thousands, and no more than
  /// what somebody reads.
  package static let shownSnapshotBytes = 64 << 10
  /// Snapshot table: 64 MiB, as QEMU.
  package static let snapshotTableBytes = 64 << 20
  /// Extra data of one snapshot entry, as QEMU.
  package static let snapshotExtraBytes = 1024
  /// Persistent bitmaps, as QEMU.
  package static let bitmaps = 65_535
  /// A backing file's name (specification: "must not be longer than 1023 bytes").
  package static let backingNameBytes = 1023
  /// Backing chain: far above what people build (libvirt refuses 200), far below what would make
  /// an open slow.
  package static let chainDepth = 64
  /// The largest disk: the largest `off_t`, rounded down to 2 MiB clusters.
  package static let diskBytes = Int.max & ~((2 << 20) - 1)
  /// Tables of all images held in memory, unless the command line says otherwise: maps 256 GiB in
  /// clusters of 64 KiB without a second look.
  package static let metadataCacheBytes = 32 << 20
  /// One slice of a table, the unit that is read, cached and written: a page.
  package static let tableSliceBytes = 4096
  /// Changes of one image that wait beside its tables' pages (entries of L1 and refcount table,
  /// references that are to go), however much memory there is: 3 MiB, written out in well under a
  /// second.
  package static let waitingChanges = 65_536
  /// One window of the copy loop.
  package static let copyWindowBytes = 2 << 20
  /// What a step may move before it gives its lane back, where no speed is set: several windows,
  /// because each new step wakes two threads, which takes as long as copying half of one.
  package static let stepBytes = 16 << 20
  /// Windows in flight for one job: enough to keep two cores and a disk queue busy.
  package static let copyLanes = 4
  /// Lanes of the whole process; Dispatch stops at 255 threads.
  package static let lanes = 192
  /// Lanes of one device, or of those that the steps of a job ask together: two jobs' windows.
  package static let lanesPerDevice = 8
}
