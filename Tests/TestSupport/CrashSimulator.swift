import BlockCore

/// Makes the states in which a power loss may leave files, from the log of what was done to them.
///
/// For every prefix of the log: what precedes a file's last completed flush is there; of what comes
/// later each piece is there or not, in any combination, over all files together. After each answer
/// that the log has, also the state in which nothing is there but what was durable by then.
///
/// The log is all that it needs: one that tells what another program did to the same files is
/// replayed as well (`ProgramTrace`).
///
/// Isolation: value.
package struct CrashSimulator {
  /// How thorough it is.
  package struct Effort: Hashable, Sendable {
    /// So many pending pieces are tried in all combinations; of more, a choice is made.
    package var exhaustive = 12
    /// Random combinations of each choice.
    package var samples = 48
    /// Where a piece ends, outside the first sector.
    package var tornAt = 4096
    package var seed: UInt64 = 1

    package init() {}

    /// For a test that runs with every build.
    package static var smoke: Effort {
      var effort = Effort()
      effort.exhaustive = 4
      effort.samples = 2
      return effort
    }
  }

  /// One state.
  package struct State: Sendable {
    /// The files, in the order of their names.
    package let images: [CrashImage]
    /// How much of the log had happened.
    package let position: Int
    /// Equal for equal files.
    package let hash: UInt64
    /// What the world had just been told, where nothing but what is durable by then is there.
    package var answer: String?

    /// The state `images` of files when `position` entries of the log have happened.
    package init(_ images: [CrashImage], position: Int) {
      self.images = images
      self.position = position
      hash = images.reduce(0) { CrashImage.mix($0 &+ $1.hash) }
    }
  }

  /// Names of the files, as the log has them.
  package let names: [String]
  private let entries: [StorageLog.Entry]
  private let effort: Effort
  private let visit: (State) -> Bool

  private var durable: [CrashImage]
  private var pending: [CrashChange] = []
  /// Flushes under way: per file, how much of the log they cover.
  private var flushes: [[Int]]
  private var position = 0
  private var seen: Set<UInt64> = []
  private var generator: SeededGenerator
  private var isStopped = false
  /// Hashes of all states.
  package private(set) var distinct: Set<UInt64> = []

  /// A simulator of `entries`, which happened to `files`. `visit` sees each state, once for each
  /// stretch of the log between positions in `borders`, where what is expected changes; it returns
  /// false to stop.
  package init(
    _ files: [(name: String, image: CrashImage)], _ entries: [StorageLog.Entry],
    _ effort: Effort = Effort(), visit: @escaping (State) -> Bool
  ) {
    names = files.map(\.name)
    durable = files.map(\.image)
    flushes = files.map { _ in [] }
    self.entries = entries
    self.effort = effort
    self.visit = visit
    generator = SeededGenerator(seed: effort.seed)
  }

  /// Visits all states. `borders` are positions of the log at which something else is expected.
  package mutating func run(borders: Set<Int> = []) {
    enumerate()
    for (index, entry) in entries.enumerated() where !isStopped {
      if borders.contains(index) {
        seen.removeAll()
        enumerate()
      }
      position = index + 1
      if case .note(let answer) = entry.event { offerDurable(answer) }
      guard let file = names.firstIndex(of: entry.storage) else { continue }
      switch entry.event {
      case .flushBegan: flushes[file].append(index)
      case .flushed: complete(file)
      case .note: break
      default:
        let pieces = CrashChange.pieces(
          of: entry.event, file: file, operation: index, tornAt: effort.tornAt)
        // With more pieces not all combinations are tried any more.
        if pending.count <= effort.exhaustive, pending.count + pieces.count > effort.exhaustive {
          position = index
          enumerate()
          position = index + 1
        }
        pending += pieces
        if isEdge(after: index, borders) { enumerate() }
      }
    }
    guard !isStopped else { return }
    if borders.contains(entries.count) { seen.removeAll() }
    enumerate()
  }

  /// Whether the pieces that wait now are the most that wait before something else happens: all
  /// states before have some of these pieces, too.
  private func isEdge(after index: Int, _ borders: Set<Int>) -> Bool {
    guard index + 1 < entries.count, !borders.contains(index + 1) else { return true }
    switch entries[index + 1].event {
    case .flushBegan, .flushed, .note: return true
    default: return false
    }
  }

  private mutating func complete(_ file: Int) {
    guard !flushes[file].isEmpty else { return }
    let covered = flushes[file].removeFirst()
    for change in pending where change.file == file && change.operation < covered {
      change.apply(to: &durable)
    }
    pending.removeAll { $0.file == file && $0.operation < covered }
  }

  private mutating func enumerate() {
    let pieces = pending.map { [$0] }
    if pieces.count <= effort.exhaustive { return combine(pieces[...], durable) }
    var operations: [[CrashChange]] = []
    for change in pending {
      if operations.last?.first?.operation == change.operation {
        operations[operations.count - 1].append(change)
      } else {
        operations.append([change])
      }
    }
    if operations.count <= effort.exhaustive {
      combine(operations[...], durable)
    } else {
      choose(operations)
    }
    choose(pieces)
  }

  /// All combinations of `rest` over `images`.
  private mutating func combine(_ rest: ArraySlice<[CrashChange]>, _ images: [CrashImage]) {
    guard !isStopped else { return }
    guard let unit = rest.first else { return offer(images) }
    var changed = images
    for change in unit { change.apply(to: &changed) }
    let file = unit[0].file
    // What changes nothing need not be tried both ways.
    if changed[file].hash != images[file].hash { combine(rest.dropFirst(), images) }
    combine(rest.dropFirst(), changed)
  }

  /// Some combinations of `units`: none, all, beginnings, endings, single ones, all but one,
  /// random ones.
  private mutating func choose(_ units: [[CrashChange]]) {
    let all = units.indices
    offer(units) { _ in true }
    offer(units) { _ in false }
    let most = effort.samples
    let places =
      all.count <= most
      ? Array(all) : (0..<most).map { _ in all.randomElement(using: &generator) ?? 0 }
    for place in places {
      offer(units) { $0 < place }
      offer(units) { $0 >= place }
      offer(units) { $0 == place }
      offer(units) { $0 != place }
    }
    for _ in 0..<most {
      let density = Int.random(in: 1...7, using: &generator)
      var picked: Set<Int> = []
      for index in all where Int.random(in: 0..<8, using: &generator) < density {
        picked.insert(index)
      }
      offer(units) { picked.contains($0) }
    }
  }

  private mutating func offer(_ units: [[CrashChange]], _ isThere: (Int) -> Bool) {
    var images = durable
    for (index, unit) in units.enumerated() where isThere(index) {
      for change in unit { change.apply(to: &images) }
    }
    offer(images)
  }

  /// The state in which all is lost that was not flushed when `answer` went out.
  private mutating func offerDurable(_ answer: String) {
    var state = State(durable, position: position)
    state.answer = answer
    distinct.insert(state.hash)
    isStopped = isStopped || !visit(state)
  }

  private mutating func offer(_ images: [CrashImage]) {
    guard !isStopped else { return }
    let state = State(images, position: position)
    guard seen.insert(state.hash).inserted else { return }
    distinct.insert(state.hash)
    isStopped = !visit(state)
  }
}
