/// A job went from one state to another.
///
/// Isolation: value.
package struct JobStatusChange: QMPEventPayload {
  package var id = ""
  package var status = JobStatus.undefined

  package init() {}

  package static let name = "JOB_STATUS_CHANGE"
  package static let summary = "A job has reached another state"
  package static let members: [WireMember<Self>] = [
    .required("id", \.id, "The job"),
    .required("status", \.status, "The state it has reached"),
  ]
}
