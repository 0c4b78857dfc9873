package import JSONValue

/// Where a job that somebody waited for has got to.
///
/// Isolation: value.
package struct JobOutcome: WireRecord {
  package var status = JobStatus.concluded
  package var error: String?
  package var errorDetail: QMPErrorDetail?
  package var result: JSONValue?

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("status", \.status, "'concluded', 'ready', or 'pending' for auto-finalize=false"),
    .optional("error", \.error, "Why the job failed"),
    .optional("x-error", \.errorDetail, "What stands behind that sentence"),
    .optional("result", \.result, "What the job has found or left behind, as its 'x-result'"),
  ]
}

extension JobOutcome {
  /// Why the job failed, for somebody who does not see the detail.
  package var sentence: String? {
    error.map { errorDetail?.naming(in: $0) ?? $0 }
  }
}
