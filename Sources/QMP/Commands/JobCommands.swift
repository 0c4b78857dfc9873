// Verbs for any job, by its id.

/// Cancels a job.
///
/// Isolation: value.
package struct JobCancel: QMPCommand {
  package typealias Reply = EmptyReply

  package var id = ""

  package init() {}

  package static let name = "job-cancel"
  package static let summary = "Cancels a job at once; what it has copied stays in base"
  package static let members: [WireMember<Self>] = [.required("id", \.id, "The job")]
}
