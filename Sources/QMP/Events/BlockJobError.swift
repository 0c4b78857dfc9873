/// A block job's I/O failed.
///
/// Isolation: value.
package struct BlockJobError: QMPEventPayload {
  package var device = ""
  package var operation = JobOperation.read
  package var action = JobErrorAction.report

  package init() {}

  package static let name = "BLOCK_JOB_ERROR"
  package static let summary = "A request of a block job has failed"
  package static let members: [WireMember<Self>] = [
    .required("device", \.device, "The job"),
    .required("operation", \.operation, "Which request failed"),
    .required("action", \.action, "What the job did about it"),
  ]
}
