package import BlockCore
import Dispatch
import Synchronization

/// Shared and exclusive locks on ranges of bytes, for the data plane.
///
/// A request waits, on its lane, while an earlier one that overlaps it holds or awaits its lock and
/// at least one of the two is exclusive. Requests that conflict are served in the order of arrival,
/// so none starves; requests that do not conflict never wait for each other.
///
/// A holder must not ask for a range that overlaps its own: it would wait for itself.
///
/// Isolation: any thread; state behind `state`.
package final class RangeLock: Sendable {
  /// Whom a lock keeps out.
  package enum Mode: Sendable {
    /// Only exclusive locks.
    case shared
    /// Every other lock.
    case exclusive
  }

  private let state = Mutex(State())

  package init() {}

  /// Calls `body` while `range` is locked in `mode`. An empty range locks nothing.
  package func withLock<R, E: Error>(
    _ range: ByteRange, _ mode: Mode, _ body: () throws(E) -> R
  ) throws(E) -> R {
    guard !range.isEmpty else { return try body() }
    let id = lock(range, mode)
    defer { unlock(id) }
    return try body()
  }

  private func lock(_ range: ByteRange, _ mode: Mode) -> UInt64 {
    let (id, turn) = state.withLock { state -> (UInt64, DispatchSemaphore?) in
      state.lastID += 1
      let claim = Claim(id: state.lastID, range: range, mode: mode)
      if state.admits(claim, behind: state.waiting.count) {
        state.held.append(claim)
        return (claim.id, nil)
      }
      let turn = DispatchSemaphore(value: 0)
      state.waiting.append(Waiter(claim: claim, turn: turn))
      return (claim.id, turn)
    }
    turn?.wait()
    return id
  }

  private func unlock(_ id: UInt64) {
    state.withLock { state in
      guard let index = state.held.firstIndex(where: { $0.id == id }) else {
        preconditionFailure("unlock of a range that is not locked")
      }
      state.held.swapAt(index, state.held.count - 1)
      state.held.removeLast()
      if !state.waiting.isEmpty { state.grant() }
    }
  }

  /// A lock that is held or asked for.
  private struct Claim {
    let id: UInt64
    let range: ByteRange
    let mode: Mode

    func conflicts(with other: Claim) -> Bool {
      (mode == .exclusive || other.mode == .exclusive) && range.overlaps(other.range)
    }
  }

  private struct Waiter {
    let claim: Claim
    let turn: DispatchSemaphore
  }

  private struct State {
    var lastID: UInt64 = 0
    /// In no order: at most one per lane, so a search is short.
    var held: [Claim] = []
    /// In the order of arrival.
    var waiting: [Waiter] = []

    /// Whether nothing held, and none of the first `count` that wait, stands in the way of `claim`.
    func admits(_ claim: Claim, behind count: Int) -> Bool {
      !held.contains { $0.conflicts(with: claim) }
        && !waiting.prefix(count).contains { $0.claim.conflicts(with: claim) }
    }

    /// Gives every waiter its lock that now can have it.
    mutating func grant() {
      var index = 0
      while index < waiting.count {
        if admits(waiting[index].claim, behind: index) {
          let waiter = waiting.remove(at: index)
          held.append(waiter.claim)
          waiter.turn.signal()
        } else {
          index += 1
        }
      }
    }
  }
}
