package import BlockCore

/// The life of one job: what happens goes in, the states it passes through come out.
///
/// It does no work, knows no time and sends nothing. Every method that can change the state returns
/// the states entered, in order; each is one JOB_STATUS_CHANGE.
///
/// Isolation: value.
package struct JobStateMachine: Sendable {
  /// How a job was told to stop.
  package enum Cancellation: Sendable {
    /// It was not.
    case none
    /// While ready: end like a success, but change nothing in the graph.
    case soft
    /// At the next step boundary, as a failure.
    case forced
  }

  /// What a job has to do between two steps.
  package enum Decision: Sendable {
    /// Go on.
    case proceed
    /// Wait until the user resumes or cancels it.
    case hold
    /// Stop: it was cancelled.
    case stop
  }

  /// The job's name, for the error sentences.
  package let id: String
  /// The device named in the sentence about a paused job.
  package let device: String
  /// Whether it ever becomes ready, and can be completed.
  package let canComplete: Bool
  /// Where it is.
  package private(set) var status = JobStatus.undefined
  /// Whether its user, or an error, paused it and nobody resumed it.
  package private(set) var isUserPaused = false
  /// Whether it was told to stop.
  package private(set) var cancellation = Cancellation.none
  /// Whether a ready job was told to complete.
  package private(set) var isCompletionRequested = false
  /// Whether the end has begun: it is too late to cancel.
  package private(set) var isFinalizing = false

  /// Whether it is on the way to its end, which nobody holds up any more.
  package var isEnding: Bool { !isConcluded && (isFinalizing || status == .aborting) }

  package init(id: String, device: String, canComplete: Bool) {
    self.id = id
    self.device = device
    self.canComplete = canComplete
  }

  /// Whether it is ready to complete, paused or not.
  package var isReady: Bool { status == .ready || status == .standby }
  /// Whether its outcome is known.
  package var isConcluded: Bool { status == .concluded || status == .null }

  // MARK: What users ask

  /// Refuses a verb that the state does not allow.
  package func check(_ verb: JobVerb) throws(BlockError) {
    guard verb.allowed.contains(status) else { throw refusal(of: verb) }
  }

  /// Asks for a pause; it takes effect at the next `boundary`.
  package mutating func pause() throws(BlockError) {
    try check(.pause)
    guard !isUserPaused else { throw BlockError(.invalidArgument, "Job is already paused") }
    isUserPaused = true
  }

  /// Takes a pause back; it takes effect at the next `boundary`. That there is none is said first,
  /// whatever the state, as QEMU does.
  package mutating func resume() throws(BlockError) {
    guard isUserPaused else {
      throw BlockError(.invalidArgument, "Can't resume a job that was not paused")
    }
    try check(.resume)
    isUserPaused = false
  }

  /// Asks the job to stop. `force` is what `job-cancel` always does; without it a ready job ends
  /// like a success. Takes effect at the next `boundary`, or at once where nothing runs any more.
  package mutating func cancel(force: Bool) throws(BlockError) -> [JobStatus] {
    try check(.cancel)
    guard !isFinalizing else { throw refusal(of: .cancel) }
    if !force && isUserPaused {
      throw BlockError(
        .busy, "The block job for device '\(device)' is currently paused")
    }
    if !force && status == .ready {
      if cancellation == .none { cancellation = .soft }
      return []
    }
    cancellation = .forced
    isUserPaused = false
    return [.created, .waiting, .pending].contains(status) ? move(to: .aborting) : []
  }

  /// Asks a ready job to end. In standby it takes effect after the resume.
  package mutating func complete() throws(BlockError) {
    try check(.complete)
    guard canComplete, cancellation == .none else { throw cannotComplete }
    isCompletionRequested = true
  }

  /// The sentence for a job that never becomes ready, or that was cancelled.
  package var cannotComplete: BlockError {
    BlockError(.invalidArgument, "The active block job '\(id)' cannot be completed")
  }

  /// Begins the end of a pending job: from here on it is too late to cancel.
  package mutating func finalize() throws(BlockError) {
    try check(.finalize)
    guard !isFinalizing else { throw refusal(of: .finalize) }
    isFinalizing = true
  }

  /// Forgets a concluded job.
  package mutating func dismiss() throws(BlockError) -> [JobStatus] {
    try check(.dismiss)
    return move(to: .null)
  }

  // MARK: What happens

  /// The job is registered.
  package mutating func create() -> [JobStatus] { move(to: .created) }

  /// The job starts to work.
  package mutating func start() -> [JobStatus] { move(to: .running) }

  /// An I/O error pauses the job, as if its user had done it.
  package mutating func pauseForError() { isUserPaused = true }

  /// Whether a pause or a cancel waits for the steps at work to end. At the end of a job neither
  /// counts any more.
  package var wantsBoundary: Bool {
    status != .waiting && status != .pending && (isUserPaused || cancellation == .forced)
  }

  /// Between two steps: what to do, and the states entered by it.
  package mutating func boundary() -> (Decision, [JobStatus]) {
    guard status != .waiting, status != .pending else { return (.proceed, []) }
    if cancellation == .forced { return (.stop, awaken()) }
    guard isUserPaused else { return (.proceed, awaken()) }
    switch status {
    case .running: return (.hold, move(to: .paused))
    case .ready: return (.hold, move(to: .standby))
    case .paused, .standby: return (.hold, [])
    default: return (.proceed, [])
    }
  }

  /// Everything there is has been copied once.
  package mutating func becomeReady() -> [JobStatus] {
    precondition(canComplete, "a job of this type is never ready")
    return move(to: .ready)
  }

  /// The work is done; what is left is to finalize.
  package mutating func succeed() -> [JobStatus] { awaitOthers() + becomePending() }

  /// The work is done; others that belong to it may still be at work.
  package mutating func awaitOthers() -> [JobStatus] { awaken() + move(to: .waiting) }

  /// The others are done, too.
  package mutating func becomePending() -> [JobStatus] { move(to: .pending) }

  /// The job failed or was cancelled, wherever it is.
  package mutating func fail() -> [JobStatus] {
    isFinalizing = false
    return awaken() + move(to: .aborting)
  }

  /// Everything is cleaned up and the result stands.
  package mutating func conclude() -> [JobStatus] { move(to: .concluded) }

  // MARK: The table

  /// From paused or standby back to what it was; nothing otherwise.
  private mutating func awaken() -> [JobStatus] {
    switch status {
    case .paused: move(to: .running)
    case .standby: move(to: .ready)
    default: []
    }
  }

  /// The only place where the state changes. A change that the table does not know is our mistake.
  private mutating func move(to next: JobStatus) -> [JobStatus] {
    precondition(status.successors.contains(next), "job '\(id)': \(status) to \(next)")
    defer { status = next }
    return status == next ? [] : [next]
  }

  private func refusal(of verb: JobVerb) -> BlockError {
    BlockError(
      .invalidArgument,
      "Job '\(id)' in state '\(status.rawValue)' cannot accept command verb '\(verb.rawValue)'")
  }
}
