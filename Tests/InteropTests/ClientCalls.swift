import QMP
import QMPClient
import Testing

// The calls that most tests make.

extension QMPClient {
  /// Opens the image at `path` as the node `name`. `backing` is the node under it; by default the
  /// chain comes from the header.
  func add(
    _ name: String, _ path: String, format: String = "qcow2", backing: BackingReference? = nil,
    _ change: (inout BlockdevOptions) -> Void = { _ in }
  ) throws {
    let file = BlockdevReference.options(BlockdevOptions(.file(FileOptions(filename: path))))
    let driver =
      format == "raw"
      ? DriverOptions.raw(RawOptions(file: file))
      : .qcow2(Qcow2Options(file: file, backing: backing))
    var call = BlockdevAdd { $0.options = BlockdevOptions(driver, nodeName: name) }
    change(&call.options)
    try execute(call)
  }

  /// Starts a commit as the job `j`, which stays until it is dismissed.
  func startCommit(of device: String, _ change: (inout BlockCommit) -> Void = { _ in }) throws {
    try execute(
      BlockCommit {
        $0.jobID = "j"
        $0.device = device
        $0.autoDismiss = false
        change(&$0)
      })
  }

  /// Carries a commit through to its end, completing it where it becomes ready.
  func commit(
    _ device: String, _ change: (inout BlockCommit) -> Void = { _ in }
  ) throws -> JobOutcome {
    try startCommit(of: device, change)
    return try finish()
  }

  /// Waits for the job `j`, completes it where it becomes ready, dismisses it, and returns how it
  /// ended.
  func finish() throws -> JobOutcome {
    let first = try wait(until: .ready)
    if first.status == .ready { try execute(JobComplete { $0.id = "j" }) }
    return try conclude()
  }

  /// Waits for the end of the job `j`, which nobody has to complete (any more), dismisses it, and
  /// returns how it ended.
  func conclude() throws -> JobOutcome {
    let last = try wait(until: .concluded)
    try execute(JobDismiss { $0.id = "j" })
    return last
  }

  /// Waits for the job `j`.
  @discardableResult
  func wait(until goal: JobWait.Goal) throws -> JobOutcome {
    try execute(
      JobWait {
        $0.id = "j"
        $0.until = goal
      }, timeout: .seconds(60))
  }

  /// Empties `node`; returns how that ended.
  func makeEmpty(
    _ node: String, _ change: (inout BlockMakeEmpty) -> Void = { _ in }
  ) throws -> JobOutcome {
    try execute(
      BlockMakeEmpty {
        $0.node = node
        $0.jobID = "j"
        $0.autoDismiss = false
        change(&$0)
      })
    let outcome = try wait(until: .concluded)
    try execute(JobDismiss { $0.id = "j" })
    return outcome
  }

  /// Closes a node.
  func remove(_ name: String) throws {
    try execute(BlockdevDel { $0.nodeName = name })
  }
}

/// The sentence with which `call` is refused; a failure of the test where it is not.
func refusal(_ call: () throws -> Void) -> String? {
  do {
    try call()
    Issue.record("the call was not refused")
  } catch QMPClientError.refused(let error) {
    return error.message
  } catch {
    Issue.record(error)
  }
  return nil
}

extension QMPClient {
  /// Waits for an event of this kind that is as `isWanted` says; those before it are gone then.
  @discardableResult
  func next<Payload: QMPEventPayload>(
    _ kind: Payload.Type, where isWanted: (Payload) -> Bool = { _ in true }
  ) throws -> Payload {
    while let event = try nextEvent(timeout: .seconds(60)) {
      if let payload = try event.payload(as: kind), isWanted(payload) { return payload }
    }
    throw QMPClientError.timedOut
  }

  /// Waits until the job `j` tells that it has come to `status`.
  func next(_ status: QMP.JobStatus) throws {
    try next(JobStatusChange.self) { $0.status == status }
  }

  /// The job `j` as `query-block-jobs` shows it.
  func blockJob() throws -> BlockJobInfo {
    try #require(try execute(QueryBlockJobs()).first { $0.device == "j" })
  }
}
