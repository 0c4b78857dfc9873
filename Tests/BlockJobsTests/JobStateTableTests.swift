import Testing

@testable import BlockJobs

@Suite("The table of a job's states")
struct JobStateTableTests {
  /// QEMU's JobSTT, written down from its documentation a second time and in another form: a row is
  /// where a job is, a column where it may go.
  private static let transitions = """
              U C R P Y S W D X E N
    undefined . 1 . . . . . . . . .
    created   . . 1 . . . . . 1 . 1
    running   . . . 1 1 . 1 . 1 . .
    paused    . . 1 . . . . . . . .
    ready     . . . . . 1 1 . 1 . .
    standby   . . . . 1 . . . . . .
    waiting   . . . . . . . 1 1 . .
    pending   . . . . . . . . 1 1 .
    aborting  . . . . . . . . 1 1 .
    concluded . . . . . . . . . . 1
    null      . . . . . . . . . . .
    """

  /// QEMU's JobVerbTable: a row is what is asked, a column where the job is.
  private static let verbs = """
               U C R P Y S W D X E N
    cancel     . 1 1 1 1 1 1 1 . . .
    pause      . 1 1 1 1 1 . . . . .
    resume     . 1 1 1 1 1 . . . . .
    set-speed  . 1 1 1 1 1 . . . . .
    complete   . . . . 1 1 . . . . .
    finalize   . . . . . . . 1 . . .
    dismiss    . . . . . . . . . 1 .
    change     . 1 1 1 1 1 . . . . .
    """

  private static let columns: [JobStatus] = [
    .undefined, .created, .running, .paused, .ready, .standby, .waiting, .pending, .aborting,
    .concluded, .null,
  ]

  private static func rows(_ table: String) -> [(name: String, cells: [Bool])] {
    table.split(separator: "\n").dropFirst().map { line in
      let words = line.split(separator: " ")
      return (String(words[0]), words.dropFirst().map { $0 == "1" })
    }
  }

  @Test("every transition is QEMU's")
  func transitions() throws {
    for (name, cells) in Self.rows(Self.transitions) {
      let from = try #require(JobStatus(rawValue: name))
      for (to, isAllowed) in zip(Self.columns, cells) {
        #expect(from.successors.contains(to) == isAllowed, "\(from) to \(to)")
      }
    }
    #expect(Self.rows(Self.transitions).count == JobStatus.allCases.count)
  }

  @Test("every verb is allowed where QEMU allows it")
  func verbs() throws {
    for (name, cells) in Self.rows(Self.verbs) {
      let verb = try #require(JobVerb(rawValue: name))
      for (status, isAllowed) in zip(Self.columns, cells) {
        #expect(verb.allowed.contains(status) == isAllowed, "\(verb) in \(status)")
      }
    }
    #expect(Self.rows(Self.verbs).count == JobVerb.allCases.count)
  }
}
