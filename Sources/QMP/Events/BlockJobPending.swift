/// A block job waits for its last step.
///
/// Isolation: value.
package struct BlockJobPending: QMPEventPayload {
  package var type = JobType.commit
  package var id = ""

  package init() {}

  package static let name = "BLOCK_JOB_PENDING"
  package static let summary = "A block job of auto-finalize=false waits for job-finalize"
  package static let members: [WireMember<Self>] = [
    .required("type", \.type, "What the job does"),
    .required("id", \.id, "The job"),
  ]
}
