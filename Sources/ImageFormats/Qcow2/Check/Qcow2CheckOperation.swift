package import BlockCore
import BlockIO
import Synchronization

extension Qcow2Image: CheckableImage {
  package func check(_ repair: CheckRepair) throws(BlockError) -> any CheckOperation {
    guard repair == .none || isReadOnly else {
      throw BlockError(
        .readOnly, "An image is repaired only while it is open for reading only", file: name)
    }
    try flush()
    return try Qcow2CheckOperation(look { $0.io }, repair)
  }
}

/// A check, and the repair that it was asked for.
///
/// Isolation: one lane at a time.
final class Qcow2CheckOperation: CheckOperation {
  private let run: Mutex<RepairRun>

  init(_ io: MetadataIO, _ repair: CheckRepair) throws(BlockError) {
    run = Mutex(try RepairRun(io, repair))
  }

  var isPastNoReturn: Bool { false }
  var result: CheckResult { run.withLock { $0.result } }
  var progress: (done: Int, total: Int) { run.withLock { $0.progress } }

  func step() throws(BlockError) -> Bool {
    try run.withLock { (run) throws(BlockError) in try run.step() }
  }
}

/// A check and how far it is.
///
/// Isolation: value of one owner.
struct CheckRun: ~Copyable {
  var check: Qcow2Check
  private var phase = Phase.stored(block: 0)
  private var steps = 0

  /// What is looked at, in this order.
  private enum Phase {
    case stored(block: Int)
    case activeL1(position: Int)
    case snapshots
    case snapshotL1(snapshot: Int, position: Int)
    case tables(index: Int)
    case structures
    case bitmap(index: Int, position: Int)
    case blocks(position: Int)
    case compare(block: Int)
    case overlaps
    case done
  }

  init(_ io: MetadataIO) throws(BlockError) {
    check = try Qcow2Check(io)
  }

  /// Steps that a check takes where it is all refcount blocks; the rest counts as they do.
  var progress: (done: Int, total: Int) {
    if case .done = phase { return (steps, steps) }
    return (steps, max(steps + 1, 2 * check.blocks + check.tables.count + 8))
  }

  /// Looks at a piece. Returns whether that was the last.
  mutating func step() throws(BlockError) -> Bool {
    steps += 1
    phase = try advance(phase)
    if case .done = phase { return true }
    return false
  }

  /// Notes that `blocks` blocks need no look, beside the one that has been looked at.
  private mutating func pass(_ blocks: Int) { steps += blocks }

  /// Counts all references, and holds them against nothing.
  mutating func countReferences() throws(BlockError) {
    while true {
      if case .compare = phase { return }
      _ = try step()
    }
  }

  private mutating func advance(_ phase: Phase) throws(BlockError) -> Phase {
    switch phase {
    case .stored(let block):
      guard let next = try check.nextBlock(from: block) else {
        pass(check.blocks - block)
        return .activeL1(position: 0)
      }
      try check.readStored(block: next)
      try check.requireFittingCounts()
      pass(next - block)
      return .stored(block: next + 1)
    case .activeL1(let position):
      if let next = try check.countL1(check.activeL1, from: position, isActive: true) {
        return .activeL1(position: next)
      }
      check.listTables(ofSnapshots: false)
      return .snapshots
    case .snapshots:
      try check.readSnapshots()
      return .snapshotL1(snapshot: 0, position: 0)
    case .snapshotL1(let snapshot, let position):
      guard snapshot < check.snapshotTables.count else {
        check.listTables(ofSnapshots: true)
        return .tables(index: 0)
      }
      let table = check.snapshotTables[snapshot]
      let next = try check.countL1(table, from: position, isActive: false)
      return .snapshotL1(snapshot: next == nil ? snapshot + 1 : snapshot, position: next ?? 0)
    case .tables(let index):
      guard index < check.tables.count else { return .structures }
      return .tables(index: try check.countTables(from: index))
    case .structures, .bitmap, .blocks, .compare, .overlaps, .done:
      return try advanceLate(phase)
    }
  }

  private mutating func advanceLate(_ phase: Phase) throws(BlockError) -> Phase {
    switch phase {
    case .structures:
      try check.countStrayTables()
      try check.countFixedStructures()
      try check.readBitmaps()
      return .bitmap(index: 0, position: 0)
    case .bitmap(let index, let position):
      guard index < check.bitmapTables.count else { return .blocks(position: 0) }
      let next = try check.countBitmap(check.bitmapTables[index], from: position)
      return .bitmap(index: next == nil ? index + 1 : index, position: next ?? 0)
    case .blocks(let position):
      if let next = try check.countBlocks(from: position) { return .blocks(position: next) }
      return .compare(block: 0)
    case .compare(let block):
      guard let next = try check.nextBlock(from: block, orCounted: true) else {
        pass(check.blocks - block)
        return .overlaps
      }
      try check.compare(block: next)
      pass(next - block)
      return .compare(block: next + 1)
    default:
      try check.checkOverlaps()
      check.result.imageEndOffset = (check.highestCluster + 1) << check.geometry.clusterBits
      return .done
    }
  }
}
