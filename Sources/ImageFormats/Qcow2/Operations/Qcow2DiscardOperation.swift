import BlockCore
import BlockIO
import Synchronization

/// Empties an image table by table, and so keeps what else lies in the file: internal snapshots,
/// bitmaps, unknown extensions.
///
/// Each L1 entry goes durably before the references that it stood for (`writeOut`).
///
/// Crash: up to `entriesBeforeFree` each L2 table of this round is there as a whole or not at all;
/// after it the tables are gone, and what they named leaks until the refcounts are written. Nobody
/// sees a part of a table go, and nothing that stays is touched. Space that was not given back yet
/// stays with the file, in clusters that are free.
///
/// Tests: `CrashSmokeTests` (discard; beside a snapshot too), `EveryFaultTests`.
///
/// Isolation: one lane at a time; the image is held exclusively.
final class Qcow2DiscardOperation: ImageOperation {
  private let image: Qcow2Image
  private let entries: Int
  private let buffer = IOBuffer(count: Qcow2State.scanBytes)
  private let next = Atomic<Int>(0)
  /// Free clusters whose space the file still has. Nobody takes them between two steps: the job has
  /// the node for itself (`NodePermissions`).
  private let freed = Mutex<[ClusterRun]>([])

  /// L2 tables per step: at 64 KiB clusters each is 64 KiB to read.
  private static let tablesPerStep = 32
  /// L1 entries per step, most of which name no table.
  private static let entriesPerStep = 1 << 16
  /// What one step gives back: where it is data, that takes a tenth of a second.
  private static let returnedBytes = 512 << 20
  private static let returnedRuns = 1024

  init(_ image: Qcow2Image) {
    self.image = image
    entries = image.state.withLock { $0.l1.count }
  }

  var isPastNoReturn: Bool { false }
  var progress: (done: Int, total: Int) {
    // Not all is done while space is still to be given back.
    let done = next.load(ordering: .relaxed) - (freed.withLock(\.isEmpty) ? 0 : 1)
    return (max(done, 0), entries)
  }

  func step() throws(BlockError) -> Bool {
    if let runs = takeFreed() {
      do throws(BlockError) {
        try image.change { (state) throws(BlockError) in try state.returnSpace(of: runs) }
      } catch {
        freed.withLock { $0 += runs }
        throw error
      }
    } else {
      try dropTables()
    }
    return next.load(ordering: .relaxed) == entries && freed.withLock(\.isEmpty)
  }

  private func dropTables() throws(BlockError) {
    try image.change { (state) throws(BlockError) in
      var index = next.load(ordering: .relaxed)
      var tables = 0
      let end = min(state.l1.count, index + Qcow2DiscardOperation.entriesPerStep)
      while index < end, tables < Qcow2DiscardOperation.tablesPerStep, !state.isRoomShort {
        if try state.dropTable(l1Index: index, through: buffer) { tables += 1 }
        index += 1
      }
      if state.isRoomShort || index == state.l1.count {
        // Counts the references down.
        let runs = try state.writeOutTables()
        freed.withLock { $0 += runs }
      }
      if index == state.l1.count { try state.flushWritten() }
      next.store(index, ordering: .relaxed)
    }
  }

  /// Some of the freed clusters; nil where there are none.
  private func takeFreed() -> [ClusterRun]? {
    freed.withLock { freed in
      var taken: [ClusterRun] = []
      var left = Qcow2DiscardOperation.returnedBytes / image.clusterSize
      while left > 0, taken.count < Qcow2DiscardOperation.returnedRuns, let run = freed.popLast() {
        let count = min(run.count, left)
        taken.append(ClusterRun(first: run.first, count: count))
        if count < run.count {
          freed.append(ClusterRun(first: run.first + count, count: run.count - count))
        }
        left -= count
      }
      return taken.isEmpty ? nil : taken
    }
  }
}

extension Qcow2State {
  /// Takes an L2 table out of the active L1 table, with all that it maps. It is read through
  /// `buffer`, past the cache: nobody will ask for it again.
  /// - Returns: whether there was one.
  mutating func dropTable(l1Index index: Int, through buffer: IOBuffer) throws(BlockError) -> Bool {
    guard let table = try tableOffset(l1Index: index) else { return false }
    let guest = geometry.guestOffset(l1Index: index, l2Index: 0)
    // Nothing goes before all of the table could be read.
    var freed: [ClusterRun] = []
    let pieceBytes = min(geometry.clusterSize, buffer.count)
    for part in stride(from: 0, to: geometry.clusterSize, by: pieceBytes) {
      try io.read(.l2Table, at: table + part, into: buffer, count: pieceBytes)
      try buffer.withBytes(0..<pieceBytes) { (bytes) throws(BlockError) in
        for place in stride(from: 0, to: pieceBytes, by: geometry.sliceBytes) {
          let start = guest + ((part + place) / 8) << geometry.clusterBits
          // What is dirty is not what the file holds.
          let cached = l2.cached(at: table + part + place)?.words
          var isVetted = false
          try addFreed(
            by: 0..<l2.sliceWords, isVetted: &isVetted, unless: nil, guest: start, to: &freed
          ) { cached?[$0] ?? bytes.bigEndian(at: place + $0 * 8) }
        }
      }
    }
    let run = ClusterRun(first: geometry.cluster(at: table), count: 1)
    guard try refcount(of: run.first) > 0 else {
      throw markCorrupt(
        "Cluster \(run.first.index) counts as free, but L1 entry \(index) names it", at: table)
    }
    for run in freed + [run] { ClusterRun.append(run, to: &pendingFrees) }
    l2.drop(geometry.bytes(of: run.first, count: 1))
    l1.set(index, to: 0)
    return true
  }
}
