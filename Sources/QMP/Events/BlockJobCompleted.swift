/// A block job is over and was not cancelled.
///
/// Isolation: value.
package struct BlockJobCompleted: QMPEventPayload {
  package var type = JobType.commit
  package var device = ""
  package var len = 0
  package var offset = 0
  package var speed = 0
  package var error: String?

  package init() {}

  package static let name = "BLOCK_JOB_COMPLETED"
  package static let summary = "A block job has succeeded or failed; sent before it is concluded"
  package static let members: [WireMember<Self>] = [
    .required("type", \.type, "What the job does"),
    .required("device", \.device, "The job"),
    .required("len", \.len, "How much there was to do, in bytes"),
    .required("offset", \.offset, "How much is done"),
    .required("speed", \.speed, "The limit in bytes a second; 0 for none"),
    .optional("error", \.error, "Why it failed; absent when it did not"),
  ]
}
