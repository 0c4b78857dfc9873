import BlockCore

/// Where a file was found to hold data, up to a frontier: from its beginning, or, where it has more
/// runs than are remembered, from where it was last asked for.
///
/// Some file systems (tmpfs) walk through all of a run of data to say where it ends: who asks for
/// the parts of one in any order must not let them walk each time. Holes that somebody has made
/// since are taken for data, which is always right; what is not known to be data has to be asked
/// for.
///
/// Isolation: value.
struct KnownData: Sendable {
  /// Runs that one question looks for; a file with more holes is looked at piece by piece.
  static let mostLooks = 64
  /// The same where runs have been forgotten: what lies far away is not looked for step by step.
  private static let fewLooks = 4
  /// Runs that are remembered.
  static let most = 4096

  /// In order, apart from each other.
  private(set) var runs: [ByteRange] = []
  /// All data from here up to `frontier` is in `runs`.
  private var start = 0
  private(set) var frontier = 0
  /// Whether there were more runs than are remembered.
  private(set) var hasForgotten = false

  /// Whether `offset` lies before all that is remembered.
  func isForgotten(_ offset: Int) -> Bool { offset < start }

  /// Whether to look on before the answer for `offset` is known.
  func isWanting(_ offset: Int) -> Bool { offset < start || offset >= frontier }

  /// How many runs to look for, at most, until the answer is known.
  var looks: Int { hasForgotten ? KnownData.fewLooks : KnownData.mostLooks }

  /// Adds the next run of data, which lies behind the frontier.
  mutating func append(_ run: ByteRange) {
    precondition(run.lower >= frontier && !run.isEmpty)
    runs.append(run)
    frontier = run.upper
    forgetFront()
  }

  /// Begins anew: the next run is to be looked for from `offset` on.
  mutating func restart(at offset: Int) {
    runs = []
    start = offset
    frontier = offset
  }

  /// Forgets the first half of too many runs: who goes through a file has been there.
  private mutating func forgetFront() {
    guard runs.count > KnownData.most else { return }
    runs.removeFirst(runs.count - KnownData.most / 2)
    start = runs[0].lower
    hasForgotten = true
  }

  /// Forgets what is known of `range`: it may hold nothing now.
  mutating func remove(_ range: ByteRange) {
    let first = self.index(behind: range.lower)
    var next = first
    var rest: [ByteRange] = []
    while next < runs.count, runs[next].lower < range.upper {
      let run = runs[next]
      if run.lower < range.lower { rest.append(ByteRange(from: run.lower, to: range.lower)) }
      if run.upper > range.upper { rest.append(ByteRange(from: range.upper, to: run.upper)) }
      next += 1
    }
    if next > first { runs.replaceSubrange(first..<next, with: rest) }
    forgetFront()
  }

  /// Where the run that holds `offset` ends; nil where none is known to.
  func end(ofDataAt offset: Int) -> Int? {
    let index = self.index(behind: offset)
    return index < runs.count && runs[index].contains(offset) ? runs[index].upper : nil
  }

  /// The first run that ends behind `offset`.
  private func index(behind offset: Int) -> Int {
    var (low, high) = (0, runs.count)
    while low < high {
      let middle = (low + high) / 2
      if runs[middle].upper <= offset { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
