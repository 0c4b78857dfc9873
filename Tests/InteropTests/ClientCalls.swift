import QMP
import QMPClient
import Testing

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
