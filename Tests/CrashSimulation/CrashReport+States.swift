import TestSupport

extension CrashReport {
  /// A line of the table of states.
  private struct Row {
    var layouts: Set<String> = []
    var states: Set<UInt64> = []
    var badViews = 0
    var checkErrors = 0
    var judgedByQemu = 0
    var answers: [String: Share] = [:]

    static func += (left: inout Row, right: Row) {
      left.layouts.formUnion(right.layouts)
      left.states.formUnion(right.states)
      left.badViews += right.badViews
      left.checkErrors += right.checkErrors
      left.judgedByQemu += right.judgedByQemu
      for (answer, share) in right.answers { left.answers[answer, default: Share()] += share }
    }

    init() {}

    init(_ trial: CrashTrial, _ outcome: CrashTrial.Outcome) {
      layouts = ["\(trial.layout)"]
      states = outcome.states
      badViews = outcome.badViews + (outcome.failure == nil ? 0 : 1)
      checkErrors = outcome.checkErrors
      judgedByQemu = outcome.judgedByQemu
      answers = outcome.answers
    }
  }

  /// Runs every operation on every layout.
  func runStates() async throws -> [Figure] {
    var trials: [CrashTrial] = []
    for layout in CrashLayout.all {
      for operation in CrashOperation.allCases where operation.fits(layout) {
        for number in 0..<operation.runs(on: layout) {
          var trial = CrashTrial(layout, operation)
          trial.effort.seed = seed + number
          trials.append(trial)
        }
      }
    }
    var rows: [CrashOperation: Row] = [:]
    try await sideBySide(trials, width: width) {
      try await ($0, $0.run())
    } then: { trial, outcome in
      rows[trial.operation, default: Row()] += Row(trial, outcome)
      for fault in outcome.faults + [outcome.failure].compactMap(\.self) {
        tell("\(trial.layout), \(trial.operation.rawValue), seed \(trial.effort.seed): \(fault)")
      }
    }
    tell(
      "| power lost during | layouts | distinct states | bad views | check errors | also qemu-img |"
    )
    tell("|---|---|---|---|---|---|")
    var all = Row()
    for operation in CrashOperation.allCases {
      guard let row = rows[operation] else { continue }
      tell(line(operation.rawValue, row))
      all += row
    }
    tell(line("all", all))
    return figures(rows, all)
  }

  private func line(_ name: String, _ row: Row) -> String {
    "| \(name) | \(row.layouts.count) | \(row.states.count) | \(row.badViews) "
      + "| \(row.checkErrors) | \(row.judgedByQemu) |"
  }

  private func figures(_ rows: [CrashOperation: Row], _ all: Row) -> [Figure] {
    var emptied = Row()
    for operation in [CrashOperation.reset, .discard] {
      if let row = rows[operation] { emptied += row }
    }
    let completed = all.answers[CrashScene.Answer.completed.rawValue] ?? Share()
    let others = CrashScene.Answer.allCases.filter { $0 != .completed }.reduce(into: Share()) {
      $0 += all.answers[$1.rawValue] ?? Share()
    }
    return [
      Figure(
        measure: "power-loss states, \(all.layouts.count) layouts", qemu: "61 bad of 159",
        here: "\(all.states.count) distinct, \(all.badViews) bad views, \(all.checkErrors) check "
          + "errors but leaks; \(all.judgedByQemu) of them also by qemu-img",
        isGood: all.badViews + all.checkErrors == 0 && all.states.count >= 200_000
          && all.layouts.count >= 40),
      Figure(
        measure: "repairs needed after a crash in make-empty", qemu: "full refcount scan",
        here: "\(emptied.checkErrors) in \(emptied.states.count) states",
        isGood: emptied.checkErrors == 0 && !emptied.states.isEmpty),
      Figure(
        measure: "state after COMPLETED, all unsynced writes dropped", qemu: "not durable",
        here: "\(completed.good) of \(completed.all) durable",
        isGood: completed.good == completed.all && completed.all > 0),
      Figure(
        measure: "the same after every other answer", qemu: "–",
        here: "\(others.good) of \(others.all) durable",
        isGood: others.good == others.all && others.all > 0),
    ]
  }
}

extension CrashOperation {
  /// How often it runs on a layout, each time with other numbers.
  fileprivate func runs(on layout: CrashLayout) -> UInt64 {
    self == .write && !layout.isLarge ? 2 : 1
  }
}
