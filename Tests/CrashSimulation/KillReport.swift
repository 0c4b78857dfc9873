import TestSupport

/// Daemons that are killed at random points of their work, as a table.
///
/// Isolation: one task; trials run side by side.
package struct KillReport: Sendable {
  private let width: Int
  private let tell: @Sendable (String) -> Void
  /// So many points on one chain of images.
  private static let pointsPerTrial = 5
  /// A directory where files are memory.
  private static let memory = "/dev/shm"

  /// A report, told line by line; so many trials run side by side.
  package init(width: Int, tell: @escaping @Sendable (String) -> Void) {
    self.width = width
    self.tell = tell
  }

  /// Kills daemons at `points` points, all of them given by `seed`. Returns whether all went well.
  package func run(points: Int, seed: UInt64) async throws -> Bool {
    tell("kills \(points) \(seed)")
    let size = KillReport.pointsPerTrial
    let trials = (0..<(points + size - 1) / size).map {
      (KillTrial($0, seed: seed), min(size, points - $0 * size))
    }
    var outcomes: [Errand: KillTrial.Outcome] = [:]
    try await sideBySide(trials, width: width) { trial, points in
      do {
        return (trial.errand, try trial.run(points: points, in: KillReport.memory))
      } catch {
        var outcome = KillTrial.Outcome()
        outcome.failures = 1
        outcome.faults = ["\(trial): \(error)"]
        return (trial.errand, outcome)
      }
    } then: { errand, outcome in
      outcome.faults.forEach(tell)
      outcomes[errand, default: KillTrial.Outcome()].add(outcome)
    }
    tell("| work | killed | in the midst | bad views | check errors | not done again |")
    tell("|---|---|---|---|---|---|")
    var all = KillTrial.Outcome()
    for errand in Errand.allCases {
      guard let outcome = outcomes[errand] else { continue }
      tell(line(errand.rawValue, outcome))
      all.add(outcome)
    }
    tell(line("all", all))
    return !all.isBad
  }

  private func line(_ name: String, _ outcome: KillTrial.Outcome) -> String {
    "| \(name) | \(outcome.points) | \(outcome.midst) | \(outcome.badViews) "
      + "| \(outcome.checkErrors) | \(outcome.failures) |"
  }
}

extension KillTrial.Outcome {
  fileprivate mutating func add(_ other: KillTrial.Outcome) {
    points += other.points
    midst += other.midst
    badViews += other.badViews
    checkErrors += other.checkErrors
    failures += other.failures
    faults += other.faults
  }
}
