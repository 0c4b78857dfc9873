import ImageFormats
import TestSupport

/// All operations on all layouts, and then with one flush at a time left out, as tables.
///
/// Isolation: one task; trials run side by side.
package struct CrashReport: Sendable {
  /// A line of the first table.
  private struct Row {
    var layouts: Set<String> = []
    var states = 0
    var badViews = 0
    var checkErrors = 0
    var judgedByQemu = 0
  }

  /// What became of a flush that was left out.
  private struct Mutant: Sendable {
    var elided: FlushPoint
    /// Trials in which it was left out at all.
    var reached = 0
    /// The first trial that found a bad state.
    var conviction: String?
  }

  /// How many trials run side by side.
  private let width: Int
  private let layouts: [CrashLayout]
  private let tell: @Sendable (String) -> Void

  /// A report on `layouts`, told line by line.
  package init(
    _ layouts: [CrashLayout] = CrashLayout.all, width: Int,
    tell: @escaping @Sendable (String) -> Void
  ) {
    self.layouts = layouts
    self.width = width
    self.tell = tell
  }

  // MARK: The first table

  /// Runs every operation on every layout. Returns whether no state was bad.
  package func runTrials() async throws -> Bool {
    var trials: [CrashTrial] = []
    for layout in layouts {
      for operation in CrashOperation.allCases where operation.fits(layout) {
        for seed in 1...operation.seeds(for: layout) {
          var trial = CrashTrial(layout, operation)
          trial.effort.seed = seed
          trials.append(trial)
        }
      }
    }
    var rows: [CrashOperation: Row] = [:]
    try await forEach(trials) {
      try await ($0, $0.run())
    } then: { trial, outcome in
      var row = rows[trial.operation] ?? Row()
      row.layouts.insert("\(trial.layout)")
      row.states += outcome.states
      row.badViews += outcome.badViews + (outcome.failure == nil ? 0 : 1)
      row.checkErrors += outcome.checkErrors
      row.judgedByQemu += outcome.judgedByQemu
      rows[trial.operation] = row
      for fault in outcome.faults + [outcome.failure].compactMap(\.self) {
        tell("\(trial.layout), \(trial.operation.rawValue), seed \(trial.effort.seed): \(fault)")
      }
    }
    tell("| operation | layouts | distinct states | bad views | check errors | also by qemu-img |")
    tell("|---|---|---|---|---|---|")
    var all = Row()
    for operation in CrashOperation.allCases {
      guard let row = rows[operation] else { continue }
      tell(line(operation.rawValue, row))
      all.layouts.formUnion(row.layouts)
      all.states += row.states
      all.badViews += row.badViews
      all.checkErrors += row.checkErrors
      all.judgedByQemu += row.judgedByQemu
    }
    tell(line("all", all))
    return all.badViews + all.checkErrors == 0
  }

  private func line(_ name: String, _ row: Row) -> String {
    "| \(name) | \(row.layouts.count) | \(row.states) | \(row.badViews) | \(row.checkErrors) "
      + "| \(row.judgedByQemu) |"
  }

  // MARK: The second table

  /// Leaves out each flush in turn. Returns whether each that was reached was missed.
  package func runMutants() async throws -> Bool {
    tell("| flush left out | trials without it | first found by |")
    tell("|---|---|---|")
    var isMissed = true
    let points = FlushPoint.allCases
    try await forEach(points) {
      try await mutant($0)
    } then: { mutant in
      let verdict =
        mutant.conviction ?? (mutant.reached == 0 ? "not reached" : "nobody")
      if mutant.reached > 0, mutant.conviction == nil { isMissed = false }
      tell("| \(mutant.elided.rawValue) | \(mutant.reached) | \(verdict) |")
    }
    return isMissed
  }

  /// So many layouts on which a missing flush is not found are enough, for one operation.
  private static let acquittals = 6

  private func mutant(_ elided: FlushPoint) async throws -> Mutant {
    var mutant = Mutant(elided: elided)
    for operation in CrashOperation.allCases {
      var reached = 0
      for layout in layouts
      where operation.fits(layout) && reached < CrashReport.acquittals {
        var trial = CrashTrial(layout, operation)
        trial.effort.exhaustive = 8
        trial.effort.samples = 16
        trial.stopsEarly = true
        trial.qemuShare = 0
        let usual = try await trial.flushes()
        trial.elided = elided
        guard try await trial.flushes() != usual else { continue }
        reached += 1
        mutant.reached += 1
        let outcome = try await trial.run()
        guard outcome.isBad else { continue }
        mutant.conviction =
          "\(operation.rawValue), \(layout): \(outcome.faults.first ?? outcome.failure ?? "")"
        return mutant
      }
    }
    return mutant
  }

  // MARK: Side by side

  private func forEach<Item: Sendable, Result: Sendable>(
    _ items: [Item], _ body: @escaping @Sendable (Item) async throws -> Result,
    then: (Result) -> Void
  ) async throws {
    try await withThrowingTaskGroup(of: Result.self) { group in
      var rest = items[...]
      for item in rest.prefix(width) { group.addTask { try await body(item) } }
      rest = rest.dropFirst(width)
      while let result = try await group.next() {
        then(result)
        if let item = rest.popFirst() { group.addTask { try await body(item) } }
      }
    }
  }
}

extension CrashOperation {
  /// How often it runs on a layout, each time with other numbers.
  fileprivate func seeds(for layout: CrashLayout) -> UInt64 {
    switch self {
    case .write: layout.isLarge ? 1 : 2
    case .create, .fill, .resize, .reset, .discard, .link, .commitActive, .commitIntermediate: 1
    }
  }
}
