package import BlockCore
import Synchronization

/// Which lanes a step competes for: the device that holds the bytes, or all that hold some of them.
///
/// Isolation: value.
package struct DeviceKey: Hashable, Sendable {
  /// `st_dev` of each file, `st_rdev` of each block device, in order.
  fileprivate let numbers: [UInt64]
  /// The directory of the file that the step opens or makes, if it does; it stands for a number.
  fileprivate let directory: UInt64?

  package init(_ number: UInt64) {
    numbers = [number]
    directory = nil
  }

  /// The key of steps that ask the devices of all of `keys`; there is at least one.
  package init(joining keys: some Sequence<DeviceKey>) {
    numbers = Set(keys.flatMap(\.numbers)).sorted()
    directory = keys.lazy.compactMap(\.directory).first
    precondition(!numbers.isEmpty, "a step asks some device")
  }

  /// Which device a file lies on, and what it leads to, is known only when it is open. Until then
  /// it stands for itself: where the disk of one does not answer, the others open.
  package init(opening fileName: String) {
    numbers = [DeviceKey.number(fileName)]
    directory = DeviceKey.number(fileName.lastIndex(of: "/").map { fileName[..<$0] } ?? "")
  }

  /// The kernel's numbers of devices have fewer bits.
  private static func number(_ text: some StringProtocol) -> UInt64 {
    var hasher = Hasher()
    hasher.combine(String(text))
    return 1 << 63 | UInt64(bitPattern: Int64(hasher.finalize()))
  }

  /// What a step's lanes are limited with, beside its key.
  fileprivate enum Kind { case plain, shared, opening }

  fileprivate var kind: Kind {
    directory != nil ? .opening : numbers.count > 1 ? .shared : .plain
  }
}

/// The blocking threads of the process, shared out so that a stuck disk starves only itself.
///
/// A step is one bounded piece of blocking work. Steps of one key start in the order in which they
/// were given; keys take turns. A key never has more than its budget of steps running at once, and
/// all keys together never more than the pool has lanes: a step that must wait waits in a list and
/// costs no thread. A step that wants to pause ends, and is given again later.
///
/// Steps that ask several devices have a key of their own, so that those between a healthy device
/// and a stuck one leave the healthy one's lanes free. Openings have a key for each file. That no
/// stuck disk takes all lanes, by whatever keys it is asked, those that ask several devices have
/// half of them at most, and openings a quarter, of which those of one directory have half.
///
/// Isolation: any thread; state behind `state`.
package final class LanePool: Sendable {
  package typealias Step = @Sendable () -> Void

  /// The pool of the process.
  package static let shared = LanePool(lanes: Limits.lanes, budget: Limits.lanesPerDevice)

  private let budget: Int
  private let state: Mutex<State>

  /// A pool of `lanes` lanes of which one key gets at most `budget`, and whose time is that of
  /// `clock`. Programs use `shared`: two pools together could pass Dispatch's thread limit.
  package init(lanes: Int, budget: Int, clock: any MonotonicClock = SystemClock()) {
    precondition(lanes > 0 && budget > 0)
    self.budget = budget
    state = Mutex(State(clock: clock, lanes: lanes))
  }

  /// Runs `step` as soon as `key` has a lane for it, and returns at once.
  package func run(on key: DeviceKey, _ step: @escaping Step) {
    let start = state.withLock { state -> (Lane, Turn)? in
      state.add(step, of: key, budget: budget)
      return state.start(budget: budget)
    }
    guard let (lane, turn) = start else { return }
    lane.run { self.serve(turn, on: lane) }
  }

  /// Runs `work` as a step of `key` while the caller is suspended: one hop down, one up.
  package func perform<T: Sendable>(
    on key: DeviceKey, _ work: @escaping @Sendable () throws(BlockError) -> T
  ) async -> Result<T, BlockError> {
    await withCheckedContinuation { continuation in
      run(on: key) { continuation.resume(returning: Result(catching: work)) }
    }
  }

  /// Runs `first`, and then whatever may start next, until nothing may. One step that ends makes
  /// room for one that waits; one of a limited kind also for one of another key, which may need a
  /// lane.
  private func serve(_ first: Turn, on lane: Lane) {
    var turn = first
    while true {
      turn.step()
      let ended = turn
      let (next, other) = state.withLock { state -> (Turn?, (Lane, Turn)?) in
        state.end(of: ended.key, ended.begun, budget: budget)
        let next = state.nextTurn(budget: budget)
        if next == nil { state.idle.append(lane) }
        let isOneMore = ended.key.kind != .plain && next != nil
        return (next, isOneMore ? state.start(budget: budget) : nil)
      }
      if let (lane, turn) = other { lane.run { self.serve(turn, on: lane) } }
      guard let next else { return }
      turn = next
    }
  }

  /// Whether a step that asks a device of `key` has been running for longer than `time`: the device
  /// is slow, or does not answer, or another one that the step asks.
  package func isHeldUp(_ key: DeviceKey, longerThan time: Duration) -> Bool {
    state.withLock { state in
      let all = state.devices.filter { other, _ in
        key.numbers.contains { other.numbers.contains($0) }
      }
      guard let begun = all.values.compactMap(\.begun.first).min() else { return false }
      // Read under the lock, after every step began; and where the clock says otherwise all the
      // same, no time has passed.
      let now = max(begun, state.clock.nanoseconds)
      return .nanoseconds(Int64(clamping: now - begun)) > time
    }
  }

  /// One step whose turn has come.
  private struct Turn: Sendable {
    let key: DeviceKey
    let step: Step
    /// When that was.
    let begun: UInt64
  }

  /// The steps of one key.
  private struct Device {
    var waiting = Fifo<Step>()
    /// When the steps began that are running, the oldest first.
    var begun: [UInt64] = []
    var running: Int { begun.count }
    /// Whether the key stands in `State.line`.
    var inLine = false
  }

  private struct State {
    let clock: any MonotonicClock
    let lanes: Int
    /// Steps of the limited kinds that are running, and openings by their directory.
    var shared = 0
    var openings = 0
    var directories: [UInt64: Int] = [:]
    /// Keys whose turn came when there were too many of their kind, in that order.
    var held: [DeviceKey] = []
    /// Keys that have a step running or waiting.
    var devices: [DeviceKey: Device] = [:]
    /// Keys that could start a step if they had a lane, in the order of their turns.
    var line = Fifo<DeviceKey>()
    /// Lanes without work; the last one used is used next, for its thread may still be there.
    var idle: [Lane] = []
    /// How many lanes there are.
    var created = 0

    /// A lane without work, made on the spot while there are fewer than there may be.
    mutating func takeLane() -> Lane? {
      if let lane = idle.popLast() { return lane }
      guard created < lanes else { return nil }
      created += 1
      return Lane(label: "qblockd.lane.\(created)")
    }

    /// The step whose turn it is, with a lane; nil where there is no such step, or no lane.
    mutating func start(budget: Int) -> (Lane, Turn)? {
      guard let lane = takeLane() else { return nil }
      if let turn = nextTurn(budget: budget) { return (lane, turn) }
      idle.append(lane)
      return nil
    }

    /// Queues a step behind the others of its key.
    mutating func add(_ step: @escaping Step, of key: DeviceKey, budget: Int) {
      devices[key, default: Device()].waiting.append(step)
      enterLine(key, budget: budget)
    }

    /// Takes the step whose turn it is and counts it as running.
    mutating func nextTurn(budget: Int) -> Turn? {
      while let key = line.popFirst() {
        guard hasRoom(for: key) else {
          // It stays in line, in another one.
          held.append(key)
          continue
        }
        devices[key]?.inLine = false
        guard let step = devices[key]?.waiting.popFirst() else { continue }
        let begun = clock.nanoseconds
        devices[key]?.begun.append(begun)
        count(key, 1)
        enterLine(key, budget: budget)
        return Turn(key: key, step: step, begun: begun)
      }
      return nil
    }

    /// Counts a step of `key`, begun then, as done; a key without steps is forgotten.
    mutating func end(of key: DeviceKey, _ begun: UInt64, budget: Int) {
      if let index = devices[key]?.begun.firstIndex(of: begun) {
        devices[key]?.begun.remove(at: index)
      }
      count(key, -1)
      if key.kind != .plain, let index = held.firstIndex(where: hasRoom) {
        line.append(held.remove(at: index))
      }
      enterLine(key, budget: budget)
      if let device = devices[key], device.running == 0, device.waiting.isEmpty {
        devices[key] = nil
      }
    }

    /// Whether a step of the key's kind may begin.
    private func hasRoom(for key: DeviceKey) -> Bool {
      switch key.kind {
      case .plain: true
      case .shared: shared < max(1, lanes / 2)
      case .opening:
        openings < max(1, lanes / 4)
          && (key.directory.flatMap { directories[$0] } ?? 0) < max(1, lanes / 8)
      }
    }

    private mutating func count(_ key: DeviceKey, _ change: Int) {
      switch key.kind {
      case .plain: break
      case .shared: shared += change
      case .opening:
        openings += change
        guard let directory = key.directory else { return }
        let count = (directories[directory] ?? 0) + change
        directories[directory] = count == 0 ? nil : count
      }
    }

    /// Puts `key` at the end of the line if it could start a step and is not there yet.
    private mutating func enterLine(_ key: DeviceKey, budget: Int) {
      guard let device = devices[key], !device.inLine, !device.waiting.isEmpty,
        device.running < budget
      else { return }
      devices[key]?.inLine = true
      line.append(key)
    }
  }
}
