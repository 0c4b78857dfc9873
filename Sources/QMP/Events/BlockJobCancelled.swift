/// A block job was cancelled.
///
/// Isolation: value.
package struct BlockJobCancelled: QMPEventPayload {
  package var job = BlockJobReport()

  package init() {}

  package static let name = "BLOCK_JOB_CANCELLED"
  package static let summary = "A block job was cancelled; sent before it is concluded"
  package static let members: [WireMember<Self>] = BlockJobReport.members.map {
    $0.lifted(to: \.job)
  }
}
