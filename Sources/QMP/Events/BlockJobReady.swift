/// A block job may be completed.
///
/// Isolation: value.
package struct BlockJobReady: QMPEventPayload {
  package var job = BlockJobReport()

  package init() {}

  package static let name = "BLOCK_JOB_READY"
  package static let summary = "A block job has copied all and may be completed"
  package static let members: [WireMember<Self>] = BlockJobReport.members.map {
    $0.lifted(to: \.job)
  }
}
