import TestSupport

/// What a power loss leaves of commits by QEMU's programs and by our daemon, recorded alike, as a
/// table.
///
/// Isolation: one task; trials run side by side.
package struct RecordedReport: Sendable {
  private let width: Int
  private let tell: @Sendable (String) -> Void

  /// A report, told line by line; so many trials run side by side.
  package init(width: Int, tell: @escaping @Sendable (String) -> Void) {
    self.width = width
    self.tell = tell
  }

  /// Returns whether the states that are known to be bad were found, and ours are good.
  package func run() async throws -> Bool {
    tell(
      "| program | commit | layouts | distinct states | bad views | after the end was told "
        + "| check errors | also by qemu-img |")
    tell("|---|---|---|---|---|---|---|---|")
    var isSound = true
    for maker in RecordedTrial.Maker.allCases {
      for commit in RecordedTrial.Commit.allCases {
        let all = try await run(maker, commit)
        tell(
          "| \(maker.rawValue) | \(commit.rawValue) | \(commit.layouts.count) | \(all.states) "
            + "| \(all.badViews) | \(all.badAfterCompletion) | \(all.checkErrors) "
            + "| \(all.judgedByQemu) |")
        if !RecordedReport.isAsKnown(maker, commit, all) {
          isSound = false
          for fault in all.faults.prefix(3) { tell(fault) }
        }
      }
    }
    return isSound
  }

  private func run(
    _ maker: RecordedTrial.Maker, _ commit: RecordedTrial.Commit
  ) async throws -> RecordedTrial.Outcome {
    var all = RecordedTrial.Outcome()
    try await sideBySide(commit.layouts, width: width) { layout in
      try RecordedTrial(maker, commit, layout).run()
    } then: { outcome in
      all.states += outcome.states
      all.badViews += outcome.badViews
      all.badAfterCompletion += outcome.badAfterCompletion
      all.checkErrors += outcome.checkErrors
      all.judgedByQemu += outcome.judgedByQemu
      all.faults += outcome.faults
    }
    return all
  }

  /// QEMU's bad states show that the simulator can find some.
  private static func isAsKnown(
    _ maker: RecordedTrial.Maker, _ commit: RecordedTrial.Commit, _ outcome: RecordedTrial.Outcome
  ) -> Bool {
    switch (maker, commit) {
    case (.qblockd, _): outcome.badViews + outcome.checkErrors == 0
    case (.qemu, .active): true
    case (.qemu, .resized): outcome.badViews > 0
    case (.qemu, .intermediate):
      outcome.badViews > outcome.badAfterCompletion && outcome.badAfterCompletion > 0
    }
  }
}
