import BlockCore
import BlockIO
import TestSupport

/// What a power loss may leave of a file: everything before the last flush that had returned, and
/// of what was written after it any part.
///
/// After each change, with up to `exhaustive` changes pending every subset of them is a state; with
/// more of them all, each alone and each missing. Equal states are visited once.
struct CrashStates {
  let log: [StorageLog.Entry]
  let start: [UInt8]
  var exhaustive = 10

  /// A state that a power loss may leave.
  struct State {
    let bytes: [UInt8]
    /// The changes since the last flush that are in it, by their number in the log.
    let changes: [Int]
  }

  /// The changes of `log`, made to `start`.
  init(of log: StorageLog, from start: [UInt8]) {
    self.log = log.entries
    self.start = start
  }

  /// Calls `body` with each state.
  func visit(_ body: (State) throws -> Void) throws {
    var durable = start
    var pending: [Int] = []
    var seen: Set<Int> = [start.digest]
    try body(State(bytes: start, changes: []))
    for (index, entry) in log.enumerated() {
      switch entry.event {
      case .flushBegan, .note: continue
      case .flushed:
        for index in pending { CrashStates.apply(log[index].event, to: &durable) }
        pending.removeAll()
      default: pending.append(index)
      }
      for chosen in choices(pending) {
        var bytes = durable
        for index in chosen { CrashStates.apply(log[index].event, to: &bytes) }
        if seen.insert(bytes.digest).inserted {
          try body(State(bytes: bytes, changes: chosen))
        }
      }
    }
  }

  private func choices(_ pending: [Int]) -> [[Int]] {
    guard pending.count > exhaustive else {
      return (0..<1 << pending.count).map { bits in
        pending.indices.filter { bits & (1 << $0) != 0 }.map { pending[$0] }
      }
    }
    return [pending] + pending.map { [$0] }
      + pending.map { missing in pending.filter { $0 != missing } }
  }

  private static func apply(_ event: StorageLog.Event, to bytes: inout [UInt8]) {
    func reach(_ end: Int) {
      if end > bytes.count { bytes += [UInt8](repeating: 0, count: end - bytes.count) }
    }
    switch event {
    case .write(let offset, let written):
      reach(offset + written.count)
      bytes.put(written, at: offset)
    case .writeZeroes(let range, _):
      reach(range.upper)
      bytes.zero(range)
    case .discard(let range):
      bytes.zero(range.intersection(ByteRange(at: 0, length: bytes.count)))
    case .truncate(let size):
      if size < bytes.count { bytes.removeLast(bytes.count - size) }
      reach(size)
    case .flushBegan, .flushed, .note: break
    }
  }
}
