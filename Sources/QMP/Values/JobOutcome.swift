package import JSONValue

/// Where a job that somebody waited for has got to.
///
/// Isolation: value.
package struct JobOutcome: WireRecord {
  package var status = JobStatus.concluded
  package var error: String?
  package var result: JSONValue?

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("status", \.status, "'concluded', 'ready', or 'pending' for auto-finalize=false"),
    .optional("error", \.error, "Why the job failed"),
    .optional("result", \.result, "What the job has found or left behind, as its 'x-result'"),
  ]
}
