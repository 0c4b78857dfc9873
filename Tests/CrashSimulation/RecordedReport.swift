import TestSupport

/// What a power loss leaves of commits and streams by QEMU's programs and by our daemon, recorded
/// alike, as a table.
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
      "| program | work | layouts | distinct states | bad views | after the end was told "
        + "| check errors | also by qemu-img |")
    tell("|---|---|---|---|---|---|---|---|")
    var isSound = true
    for maker in RecordedTrial.Maker.allCases {
      for work in RecordedTrial.Work.allCases {
        let all = try await run(maker, work)
        tell(
          "| \(maker.rawValue) | \(work.rawValue) | \(work.layouts.count) | \(all.states) "
            + "| \(all.badViews) | \(all.badAfterCompletion) | \(all.checkErrors) "
            + "| \(all.judgedByQemu) |")
        if !RecordedReport.isAsKnown(maker, work, all) {
          isSound = false
          for fault in all.faults.prefix(3) { tell(fault) }
        }
      }
    }
    return isSound
  }

  private func run(
    _ maker: RecordedTrial.Maker, _ work: RecordedTrial.Work
  ) async throws -> RecordedTrial.Outcome {
    var all = RecordedTrial.Outcome()
    try await sideBySide(work.layouts, width: width) { layout in
      try RecordedTrial(maker, work, layout).run()
    } then: { outcome in
      all.states += outcome.states
      all.badViews += outcome.badViews
      all.badAfterCompletion += outcome.badAfterCompletion
      all.checkErrors += outcome.checkErrors
      all.judgedByQemu += outcome.judgedByQemu
      all.copiedBytes += outcome.copiedBytes
      all.faults += outcome.faults
    }
    return all
  }

  /// QEMU's bad states show that the simulator can find some.
  private static func isAsKnown(
    _ maker: RecordedTrial.Maker, _ work: RecordedTrial.Work, _ outcome: RecordedTrial.Outcome
  ) -> Bool {
    switch (maker, work) {
    // A commit has long runs, which go from file to file.
    case (.qblockd, .active), (.qblockd, .intermediate):
      outcome.badViews + outcome.checkErrors == 0 && outcome.copiedBytes > 0
    case (.qblockd, _): outcome.badViews + outcome.checkErrors == 0
    case (.qemu, .active), (.qemu, .stream), (.qemu, .streamAll): true
    case (.qemu, .resized): outcome.badViews > 0
    case (.qemu, .intermediate):
      outcome.badViews > outcome.badAfterCompletion && outcome.badAfterCompletion > 0
    }
  }
}
