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

  /// Opens `images`, and starts the job by the last of the requests that `make` makes for them;
  /// returns what it says in the end. The answers to the other requests go to `answered`.
  ///
  /// All is sent at once, and the nodes belong to the job, so that a command that dies leaves
  /// nothing open.
  mutating func run(
    _ images: [ImageFile], answered: ([JSONValue]) throws -> Void = { _ in },
    _ make: ([ImageFile]) -> [QMPRequest]
  ) throws -> JobOutcome {
    var images = images
    var answers = try send(images, make)
    do {
      // Each time round one more image is borrowed, and so not opened again.
      while let (index, refusal) = refusal(in: answers, of: images) {
        _ = try session.client.execute(together: images.closing)
        guard try images[index].borrow(refusal, in: session) else {
          throw images[index].failure(refusal)
        }
        answers = try send(images, make)
      }
      let results = try answers.dropFirst(images.ownNodes.count).map { answer in
        try result(answer, images)
      }
      try answered(results.dropLast())
    } catch {
      // The job has not started, so the nodes are nobody's.
      _ = try session.client.execute(together: images.closing)
      throw error
    }
    var outcome = try followOwn()
    outcome.error = outcome.sentence.map { ImageFile.naming(images, in: $0) }
    return outcome
  }

  private func send(
    _ images: [ImageFile], _ make: ([ImageFile]) -> [QMPRequest]
  ) throws(QMPClientError) -> [Result<JSONValue, QMPError>] {
    do {
      return try session.client.execute(together: images.opening + make(images))
    } catch {
      guard error == .interrupted else { throw error }
      // Nobody knows how far the daemon has come; this it does after all that.
      let cancel = QMPRequest(JobCancel { $0.id = id })
      _ = try session.client.execute(together: [cancel] + images.closing)
      throw .interrupted
    }
  }

  /// The first of `images` that could not be opened, and why.
  private func refusal(
    in answers: [Result<JSONValue, QMPError>], of images: [ImageFile]
  ) -> (index: Int, error: QMPError)? {
    let opened = images.indices.filter { !images[$0].isBorrowed }
    for (index, answer) in zip(opened, answers) {
      if case .failure(let error) = answer { return (index, error) }
    }
    return nil
  }

  /// What came of a command after those that opened `images`; a refusal is thrown.
  private func result(
    _ answer: Result<JSONValue, QMPError>, _ images: [ImageFile]
  ) throws -> JSONValue {
    switch answer {
    case .success(let value): return value
    case .failure(var error):
      error.message = ImageFile.naming(images, in: error.message)
      throw QMPClientError.refused(error)
    }
  }

  /// Waits until the job is over, and says what it means for the job if the daemon ends before.
  private mutating func followOwn() throws -> JobOutcome {
    do {
      return try follow()
    } catch QMPClientError.connectionLost {
      display.end(hasSucceeded: false)
      throw Failure(
        """
        qblockd has stopped, and job '\(id)' with it
        What it has written so far stays, and leaves every image sound. Run the command again to \
        finish; until then a base that was being committed into is incomplete by itself
        """)
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
        if isCancelled { Interruption.endProcess() }
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
    throw Interruption(message: "Interrupted: the job was cancelled")
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
