package import BlockCore

/// What a job is about to do. After a crash the last phase entered tells how far the files are.
///
/// Isolation: value.
package enum JobPhase: String, Sendable, CaseIterable {
  /// Metadata is read, permissions and locks are taken. Nothing is written.
  case plan
  /// The base gets longer.
  case grow
  /// Bytes go to the base, which until the end is neither what it was nor what it will be. What a
  /// guest sees through the top is whole at every moment.
  case copy
  /// The base becomes durable.
  case flush
  /// Everything is copied and durable; new writes are followed.
  case ready
  /// Headers and edges change over to the base.
  case `switch`
  /// The top is emptied.
  case empty
  /// What a layer shows is compared with what is underneath.
  case compare
  /// Guest bytes are read or written.
  case transfer
  /// An image is made.
  case create
  /// An image's metadata are checked, or repaired.
  case check
}

/// The facts about a job that a journal keeps.
///
/// Isolation: value.
package struct JobRecord: Hashable, Sendable {
  package var id: String
  package var type: JobType
  /// The files that it works on, the first one first.
  package var files: [String]

  package init(id: String, type: JobType, files: [String]) {
    self.id = id
    self.type = type
    self.files = files
  }
}

/// How a job ended, for the journal.
///
/// Isolation: value.
package enum JobEnd: Hashable, Sendable {
  case succeeded
  case cancelled
  case failed(String)
}

/// Keeps what must be known about jobs after a crash.
///
/// A durable store implements this. Until `enter` has returned, nothing of the phase has been done;
/// when it throws, the phase is not entered and the job fails.
///
/// Isolation: any thread; calls block and are made on lanes, those of one job one after the other.
package protocol JobJournal: Sendable {
  /// `job` is about to begin `phase`.
  func enter(_ phase: JobPhase, of job: JobRecord) throws(BlockError)
  /// `job` is over. An error is told to nobody: the outcome stands.
  func conclude(_ job: JobRecord, _ end: JobEnd) throws(BlockError)
}

/// Keeps nothing.
///
/// Isolation: value.
package struct NoJournal: JobJournal {
  package init() {}
  package func enter(_ phase: JobPhase, of job: JobRecord) throws(BlockError) {}
  package func conclude(_ job: JobRecord, _ end: JobEnd) throws(BlockError) {}
}
