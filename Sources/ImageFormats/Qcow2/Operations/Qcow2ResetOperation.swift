import BlockCore
import BlockIO
import Synchronization

/// Empties an image by switching it to new, empty tables.
///
/// Steps, and what a crash leaves after each:
/// 1. Empty tables are built past the file's end (on a device: in free clusters), flushed, and one
///    write of header bytes 36 to 79 (version 2: to 71), inside one sector, switches L1 table *and*
///    refcount table; flushed. Before: the full image with a leak at the end. After: the empty
///    image, with refcounts exact for it.
/// 2. All between header and these tables is free now, so the same again at cluster 1.
/// 3. The file is cut, a slice at a time; whatever is left over is free space.
///
/// Tests: `CrashSmokeTests` (reset), `MakeEmptyCrashTests`, `MakeEmptyDefectTests`,
/// `HeaderSwitchTests`.
///
/// Neither the bytes of metadata nor the flushes depend on how much the image held.
///
/// Isolation: one lane at a time; the image is held exclusively.
final class Qcow2ResetOperation: ImageOperation {
  private let image: Qcow2Image
  private let phase: Mutex<Phase>

  private enum Phase: Sendable {
    case switchAside
    case switchFront
    case cut(from: Int, now: Int, to: Int)
    case done
  }

  /// What one step cuts off: `ftruncate` takes time in proportion, about 20 ms for this.
  private static let cutBytes = 128 << 20

  init(_ image: Qcow2Image) {
    self.image = image
    phase = Mutex(.switchAside)
  }

  var isPastNoReturn: Bool {
    phase.withLock { if case .switchAside = $0 { false } else { true } }
  }

  var progress: (done: Int, total: Int) {
    phase.withLock {
      switch $0 {
      case .switchAside: (0, 4)
      case .switchFront: (1, 4)
      case .cut(let from, let now, let to): (2 + (from - now) / max(1, from - to), 4)
      case .done: (4, 4)
      }
    }
  }

  func step() throws(BlockError) -> Bool {
    let next = try advance(phase.withLock { $0 })
    phase.withLock { $0 = next }
    if case .done = next { return true }
    return false
  }

  private func advance(_ phase: Phase) throws(BlockError) -> Phase {
    try image.change { (state) throws(BlockError) in
      switch phase {
      case .switchAside:
        // No flush of its own: what was written until now goes with the empty tables, whose flush
        // comes before the switch. Where the power fails before, guests lose what they had not
        // flushed, as always. But what lies past the end that is known of the file must be known.
        try state.writeOut()
        let isDevice = state.io.storage.traits.isDevice
        try state.switchToEmpty(
          isDevice ? try state.layoutInsideDevice() : state.layoutAside())
        return isDevice ? .done : .switchFront
      case .switchFront:
        let layout = EmptyLayout(
          state.geometry, start: HostCluster(index: 1), l1Entries: state.header.l1Entries)
        let end = state.fileEnd
        try state.switchToEmpty(layout)
        return .cut(from: end, now: end, to: state.geometry.offset(of: layout.end))
      case .cut(let from, let now, let to):
        let cut = max(to, now - Qcow2ResetOperation.cutBytes)
        try state.cutFile(to: cut)
        if cut > to { return .cut(from: from, now: cut, to: to) }
        try state.io.flush(.truncation)
        return .done
      case .done:
        return .done
      }
    }
  }
}

extension Qcow2State {
  /// Why the tables cannot simply be replaced: something else in the file must stay.
  var resetObstacle: String? {
    if header.snapshotCount > 0 { return "it has internal snapshots" }
    if header.bitmapCount > 0 { return "it has persistent bitmaps" }
    if header.hasUnknownExtensions { return "it has header extensions that are not known here" }
    if !io.storage.traits.isDevice, !canCountTablesAtEnd {
      return "its file of \(fileEnd) bytes is longer than refcounts can count"
    }
    return nil
  }

  /// Whether a refcount table of legal length could count empty tables at the file's end.
  private var canCountTablesAtEnd: Bool {
    // L1 table and refcount table at their largest, with the blocks for them.
    let tables = geometry.cluster(at: Limits.l1TableBytes + 2 * Limits.refcountTableBytes)
    return geometry.refcountBlockIndex(geometry.cluster(at: fileEnd))
      < Limits.refcountTableBytes / 8 - geometry.refcountBlockIndex(tables) - 2
  }

  /// Clusters for the first switch: none that the live image uses, and none where the tables of the
  /// second switch will lie.
  func layoutAside() -> EmptyLayout {
    let front = EmptyLayout(geometry, start: HostCluster(index: 1), l1Entries: header.l1Entries)
    let end = HostCluster(index: max(geometry.clusters(for: fileEnd), front.end.index))
    return EmptyLayout(geometry, start: end, l1Entries: header.l1Entries)
  }

  /// A device does not grow: the lowest run of free clusters that is long enough. There is no
  /// second switch then.
  mutating func layoutInsideDevice() throws(BlockError) -> EmptyLayout {
    try vetTables()
    let end = HostCluster(index: fileEnd >> geometry.clusterBits)
    var run = ClusterRun(first: HostCluster(index: 1), count: 0)
    while run.end < end {
      let layout = EmptyLayout(geometry, start: run.first, l1Entries: header.l1Entries)
      if run.count >= layout.count { return try unlessTaken(layout) }
      switch try freeRun(from: run.end, upTo: layout.count - run.count) {
      case .none(let next):
        run = ClusterRun(first: next, count: 0)
      case .needsBlock:
        // Clusters that no block counts are free, up to the end of what the block would count.
        let next = (geometry.refcountBlockIndex(run.end) + 1) * geometry.refcountsPerBlock
        run.count = min(next, end.index) - run.first.index
      case .found(let found) where found.first == run.end: run.count += found.count
      case .found(let found): run = found
      }
    }
    throw BlockError(
      .noSpace, "The device has no room for empty tables beside the full ones", file: name)
  }

  /// The layout, unless metadata lie there that count as free.
  private mutating func unlessTaken(_ layout: EmptyLayout) throws(BlockError) -> EmptyLayout {
    let run = ClusterRun(first: layout.start, count: layout.count)
    guard let region = try overlapsMetadata(run) else { return layout }
    throw markCorrupt(
      "The \(region.rawValue) in clusters from \(layout.start.index) on counts as free",
      at: geometry.offset(of: layout.start))
  }

  /// Writes empty tables as `layout` says and switches the header to them.
  mutating func switchToEmpty(_ layout: EmptyLayout) throws(BlockError) {
    try layout.write(to: &self)
    try io.flush(.emptyTablesBeforeSwitch)
    var switched = header
    switched.l1Offset = geometry.offset(of: layout.l1)
    switched.refcountTableOffset = geometry.offset(of: layout.start)
    switched.refcountTableClusters = layout.tableClusters
    try switchHeader(switched.tableFields, at: Qcow2Header.tableFieldsOffset)
    adopt(switched, layout)
    try io.flush(.switchBeforeReuse)
  }

  /// The state of the image that `switched` describes: nothing in it, all else free.
  private mutating func adopt(_ switched: Qcow2Header, _ layout: EmptyLayout) {
    header = switched
    l1 = PagedTable(l1: header, in: pages)
    refcountTable = PagedTable(refcountTable: header, in: pages)
    pendingFrees.removeAll()
    l2.dropAll()
    refblocks.dropAll()
    firstFree = HostCluster(index: 0)
    noteTables(of: layout)
  }

  /// Cuts the file; what lies behind is free.
  mutating func cutFile(to end: Int) throws(BlockError) {
    if end >= fileEnd { return }
    try io.storage.truncate(to: end)
    fileEnd = end
    aheadEnd = 0
    highWater = end
  }
}
