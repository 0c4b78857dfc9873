/// A block job is over and was not cancelled.
///
/// Isolation: value.
package struct BlockJobCompleted: QMPEventPayload {
  package var job = BlockJobReport()
  package var error: String?

  package init() {}

  package static let name = "BLOCK_JOB_COMPLETED"
  package static let summary = "A block job has succeeded or failed; sent before it is concluded"
  package static let members: [WireMember<Self>] =
    BlockJobReport.members.map { $0.lifted(to: \.job) } + [
      .optional("error", \.error, "Why it failed; absent when it did not")
    ]
}
