import BlockCore

/// Where a file was found to hold data, from its beginning up to a frontier.
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
  /// Runs that are remembered.
  private static let most = 4096

  /// In order, apart from each other.
  private var runs: [ByteRange] = []
  /// All data before is in `runs`.
  private(set) var frontier = 0

  /// Whether to look on before the answer for `offset` is known.
  func isWanting(_ offset: Int) -> Bool { offset >= frontier && runs.count < KnownData.most }

  /// Adds the next run of data, which lies behind the frontier.
  mutating func append(_ run: ByteRange) {
    precondition(run.lower >= frontier && !run.isEmpty)
    runs.append(run)
    frontier = run.upper
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
