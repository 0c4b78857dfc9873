/// A command of ours that starts a job.
///
/// Isolation: value.
package protocol JobStartingCommand: QMPCommand {
  /// The arguments that all of them share.
  var job: JobStart { get set }
}

extension JobStartingCommand {
  /// The shared arguments, which stand among the command's own.
  package static var jobMembers: [WireMember<Self>] {
    JobStart.members.map { $0.lifted(to: \.job) }
  }
}

/// How a job of ours starts and ends.
///
/// Isolation: value.
package struct JobStart: WireRecord {
  package var id = ""
  package var speed = 0
  package var autoFinalize = true
  package var autoDismiss = true
  package var ownNodes: [String] = []

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("job-id", \.id, "The job's name"),
    .defaulted("speed", \.speed, "Bytes a second; 0 for no limit").nonNegative,
    .defaulted("auto-finalize", \.autoFinalize, "Whether the last step needs no job-finalize"),
    .defaulted("auto-dismiss", \.autoDismiss, "Whether the job vanishes once concluded"),
    .defaulted("x-own-nodes", \.ownNodes, "Nodes that close when the job concludes"),
  ]
}
