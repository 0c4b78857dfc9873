package import BlockCore
package import BlockRuntime
package import ImageFormats
import Synchronization

/// One node of the graph: the checked gateway through which every request to a file or an image
/// passes.
///
/// A format node (`qcow2`, `raw`) interprets the bytes of a file node below it. A protocol node
/// (`file`, `host_device`) shows its bytes as they are. Both are read, mapped and written alike.
///
/// Every call checks range and state, passes the gate by which graph edits drain the node, and
/// holds the range it needs, widened to whole clusters. Lock order: `gate`, `ranges`, the image's
/// own lock.
///
/// Isolation: any thread; calls marked "lane" block. State behind `state`.
package final class BlockNode: Sendable {
  /// Its name in the graph.
  package let name: String
  /// The driver as the protocol spells it: `qcow2`, `raw`, `file`, `host_device`.
  package let driverName: String
  /// The file node whose bytes a format node interprets; nil for protocol nodes.
  package let file: BlockNode?
  /// What reads and writes the bytes. Used directly only inside `withRange`.
  package let image: any ImageDriver
  /// The name of the file, as its user gave it or as the chain's opening resolved it.
  package let fileName: String
  /// The same byte for byte; it is not always text.
  package let path: [UInt8]
  /// The device that holds the bytes: which lanes its work competes for.
  package let device: DeviceKey
  /// Closed by graph edits while they change what is around the node.
  package let gate = InFlightGate()
  /// What has passed through.
  package let counters = NodeCounters()

  private let ranges = RangeLock()
  private let state: Mutex<State>
  private let generation = Atomic<Int>(0)

  private struct State {
    var trackers: [DirtyTracker] = []
    var isClosed = false
    var options: NodeOptions
  }

  /// A node over an open image. A format node's `file` is the node whose storage the image uses;
  /// `path` is nil where `fileName` is the name itself.
  package init(
    name: String, driverName: String, image: any ImageDriver, file: BlockNode? = nil,
    fileName: String, path: [UInt8]? = nil, device: DeviceKey, options: NodeOptions = NodeOptions()
  ) {
    self.name = name
    self.driverName = driverName
    self.image = image
    self.file = file
    self.fileName = fileName
    self.path = path ?? Array(fileName.utf8)
    self.device = device
    state = Mutex(State(options: options))
  }

  /// How guest writes are treated.
  package internal(set) var options: NodeOptions {
    get { state.withLock { $0.options } }
    set { state.withLock { $0.options = newValue } }
  }

  /// The guest disk's length in bytes.
  package var virtualSize: Int { image.virtualSize }
  /// Whether writes are refused: opened so, or because the image is damaged.
  package var isReadOnly: Bool { image.isReadOnly || image.isDamaged }
  /// Whether the layer holds every byte of the disk itself, so that nothing shows through.
  package var holdsEveryByte: Bool { image.clusterSize == 1 }
  /// Counts the changes that a guest can see; the same number twice: nothing was written between.
  package var writeGeneration: Int { generation.load(ordering: .acquiring) }

  /// From now on every change marks `tracker`, before the range that it touched is unlocked.
  package func attach(_ tracker: DirtyTracker) {
    state.withLock { $0.trackers.append(tracker) }
  }

  /// Undoes one `attach`.
  package func detach(_ tracker: DirtyTracker) {
    state.withLock { state in
      guard let index = state.trackers.firstIndex(where: { $0 === tracker }) else {
        preconditionFailure("detach of a tracker that is not attached")
      }
      state.trackers.remove(at: index)
    }
  }

  /// Calls `body` while no change touches `range`. Host offsets that a mapping names are good only
  /// inside. Lane.
  package func withRange<R>(
    _ range: ByteRange, _ body: (any ImageDriver) throws(BlockError) -> R
  ) throws(BlockError) -> R {
    try enter()
    defer { gate.leave() }
    return try ranges.withLock(lockRange(range), .shared) { () throws(BlockError) -> R in
      try body(image)
    }
  }

  /// Calls `body` while nothing else touches any byte of the image: for operations on the image as
  /// a whole. Lane.
  package func withWholeImage<R>(
    _ body: (any ImageDriver) throws(BlockError) -> R
  ) throws(BlockError) -> R {
    try enter()
    defer { gate.leave() }
    return try ranges.withLock(BlockNode.everything, .exclusive) { () throws(BlockError) -> R in
      try body(image)
    }
  }

  /// Calls `body`, which changes `range`, while nothing else touches it; marks the trackers and
  /// counts, also when it fails: part of the change may have happened.
  func changing(
    _ range: ByteRange, locking locked: ByteRange,
    _ body: () throws(BlockError) -> Void
  ) throws(BlockError) {
    try enter()
    defer { gate.leave() }
    try ranges.withLock(locked, .exclusive) { () throws(BlockError) in
      // A damaged image says by itself what is the matter.
      guard !image.isReadOnly else {
        throw BlockError(.readOnly, "Node '\(name)' is read-only", file: fileName)
      }
      defer { noteChange(range) }
      try body()
    }
  }

  /// Throws `outOfRange` unless the `length` bytes at `offset` lie inside the disk.
  package func check(_ offset: Int, _ length: Int) throws(BlockError) {
    let (end, overflow) = offset.addingReportingOverflow(length)
    guard offset >= 0, length >= 0, !overflow, end <= virtualSize else {
      throw BlockError(
        .outOfRange, "\(length) bytes do not fit in a disk of \(virtualSize) bytes",
        file: fileName, guestOffset: offset)
    }
  }

  /// Throws `readOnly` where the node refuses writes: for who writes as a guest does, and does not
  /// open what its user has opened for reading only.
  package func requireWritable() throws(BlockError) {
    guard !isReadOnly else {
      throw BlockError(.readOnly, "Block node '\(name)' is read-only", file: fileName)
    }
  }

  /// Whether calls fail because it has been closed.
  var isClosed: Bool { state.withLock { $0.isClosed } }

  /// No further call may come after this one. Returns whether it was the first.
  func markClosed() -> Bool {
    state.withLock { state in
      defer { state.isClosed = true }
      return !state.isClosed
    }
  }

  /// `range` in whole clusters: the unit in which two changes would meet in the image.
  func lockRange(_ range: ByteRange) -> ByteRange {
    range.widened(to: image.clusterSize)
  }

  /// A range that holds every byte, also those that a resize brings in.
  static let everything = ByteRange(at: 0, length: Int.max)

  /// Passes the gate; who does calls `gate.leave`. A node may be closed while a request waits.
  private func enter() throws(BlockError) {
    gate.enter()
    guard isClosed else { return }
    gate.leave()
    throw BlockError(.notFound, "Node '\(name)' is closed", file: fileName)
  }

  private func noteChange(_ range: ByteRange) {
    generation.add(1, ordering: .releasing)
    for tracker in state.withLock({ $0.trackers }) { tracker.mark(range) }
  }
}
