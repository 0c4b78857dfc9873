import Glibc
import JSONValue
import QMP
import QMPClient

/// A job that a command starts, or waits for, and follows to its end.
///
/// Isolation: the main thread.
struct JobRun {
  /// How often the daemon is asked how far it is.
  private static let interval = Duration.milliseconds(150)

  let session: Session
  let id: String
  var display: ProgressDisplay
  /// Whether the job ends when the user interrupts the command.
  var isOwn = true

  /// Opens `images`, starts the job by `starting`, and returns what it says in the end. In between
  /// `queries` are asked; their answers go to `answered`.
  ///
  /// All is sent at once, and the nodes belong to the job, so that a command that dies leaves
  /// nothing open.
  mutating func run(
    _ images: [ImageFile], queries: [QMPRequest] = [], _ starting: QMPRequest,
    answered: ([JSONValue]) throws -> Void = { _ in }
  ) throws -> JobOutcome {
    let answers = try send(images.map(\.request) + queries + [starting], images)
    do {
      let results = try results(answers, images)
      try answered(results.dropLast())
    } catch {
      // The job has not started, so the nodes are nobody's.
      _ = try session.client.execute(together: images.map(\.closing))
      throw error
    }
    var outcome = try follow()
    outcome.error = outcome.error.map { ImageFile.naming(images, in: $0) }
    return outcome
  }

  private func send(
    _ requests: [QMPRequest], _ images: [ImageFile]
  ) throws(QMPClientError) -> [Result<JSONValue, QMPError>] {
    do {
      return try session.client.execute(together: requests)
    } catch {
      guard error == .interrupted else { throw error }
      // Nobody knows how far the daemon has come; this it does after all that.
      let cancel = QMPRequest(JobCancel { $0.id = id })
      _ = try session.client.execute(together: [cancel] + images.map(\.closing))
      throw .interrupted
    }
  }

  /// What came of the commands after those that opened `images`; the first refusal is thrown.
  private func results(
    _ answers: [Result<JSONValue, QMPError>], _ images: [ImageFile]
  ) throws -> [JSONValue] {
    for (image, answer) in zip(images, answers) {
      if case .failure(let error) = answer { throw image.failure(error) }
    }
    return try answers.dropFirst(images.count).map { answer in
      switch answer {
      case .success(let value): return value
      case .failure(var error):
        error.message = ImageFile.naming(images, in: error.message)
        throw QMPClientError.refused(error)
      }
    }
  }

  /// Waits until the job is over, or as far as `goal` says, and returns what it says then.
  mutating func follow(until goal: JobWait.Goal = .concluded) throws -> JobOutcome {
    var isCancelled = false
    while true {
      do {
        if try step(goal) { break }
      } catch QMPClientError.interrupted {
        guard isOwn else { throw QMPClientError.interrupted }
        if isCancelled { exit(130) }
        isCancelled = true
        // The terminal has just shown ^C.
        let start = StandardStream.errors.isTerminal ? "\n" : ""
        StandardStream.errors.line("\(start)Cancelling; once more to leave at once")
        try cancel()
      }
    }
    let outcome = try session.client.execute(
      JobWait {
        $0.id = id
        $0.until = goal
      })
    display.end(hasSucceeded: outcome.error == nil)
    if session.isJSON { sayEnd(outcome) }
    guard isCancelled, outcome.error != nil else { return outcome }
    throw Failure("Interrupted: the job was cancelled")
  }

  /// Waits for an event or a while, and tells whether the job has come to `goal`.
  private mutating func step(_ goal: JobWait.Goal) throws -> Bool {
    let tick = ContinuousClock.now + JobRun.interval
    var left = JobRun.interval
    while left > .zero, let event = try session.client.nextEvent(timeout: left) {
      if try ends(event, goal) { return true }
      left = ContinuousClock.now.duration(to: tick)
    }
    let jobs = try session.client.execute(QueryJobs())
    guard let job = jobs.first(where: { $0.id == id }), job.status != .concluded else {
      return true
    }
    display.update(job)
    return goal == .ready && job.status == .ready
  }

  /// Whether `event` says that the job has come to `goal`.
  private func ends(_ event: QMPEvent, _ goal: JobWait.Goal) throws -> Bool {
    guard let change = try event.payload(as: JobStatusChange.self), change.id == id else {
      return false
    }
    switch change.status {
    case .concluded, .null: return true
    case .ready: return goal == .ready
    default: return false
    }
  }

  private func cancel() throws {
    do throws(QMPClientError) {
      try session.client.execute(JobCancel { $0.id = id })
    } catch {
      // A refused one is over already, or too far to turn back.
      guard case .refused = error else { throw error }
    }
  }

  private func sayEnd(_ outcome: JobOutcome) {
    var line: JSONObject = ["id": .string(id)]
    for member in outcome.object.members { line.append(member.name, member.value) }
    session.say(.object(line))
  }
}
