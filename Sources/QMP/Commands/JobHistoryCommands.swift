package import JSONValue

/// Tells of jobs that are gone.
///
/// Isolation: value.
package struct QueryJobHistory: QMPCommand {
  package typealias Reply = [PastJob]

  package var id: String?

  package init() {}

  package static let name = "x-query-job-history"
  package static let allowsOutOfBand = true
  package static let summary = "How the jobs ended that are no longer there"
  package static let members: [WireMember<Self>] = [
    .optional("id", \.id, "Only jobs of this id; it may have been used again")
  ]
}

/// One job that is gone.
///
/// Isolation: value.
package struct PastJob: WireRecord {
  package var id = ""
  package var type = JobType.commit
  package var bytes = 0
  package var durationMilliseconds = 0
  package var ageSeconds = 0
  package var error: String?
  package var errorDetail: QMPErrorDetail?
  package var result: JSONValue?

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("id", \.id, "The job's name"),
    .required("type", \.type, "What the job did"),
    .required("bytes", \.bytes, "How much it had done, as its 'current-progress'"),
    .required("duration-ms", \.durationMilliseconds, "Milliseconds from start to end"),
    .required("age-seconds", \.ageSeconds, "Seconds since it was dismissed"),
    .optional("error", \.error, "Why it failed"),
    .optional("x-error", \.errorDetail, "What stands behind that sentence"),
    .optional("result", \.result, "What it has found or left behind, as its 'x-result'"),
  ]
}
