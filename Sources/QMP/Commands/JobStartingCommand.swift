/// A command of ours that starts a job, with the arguments that all of them share.
///
/// Isolation: value.
package protocol JobStartingCommand: QMPCommand {
  /// The job's name.
  var jobID: String { get set }
  /// Bytes a second; 0 for no limit.
  var speed: Int { get set }
  /// Whether the job's last step needs no `job-finalize`.
  var autoFinalize: Bool { get set }
  /// Whether the job vanishes once concluded.
  var autoDismiss: Bool { get set }
  /// Nodes that close when the job concludes.
  var ownNodes: [String] { get set }
}

extension JobStartingCommand {
  /// The shared arguments.
  package static var jobMembers: [WireMember<Self>] {
    [
      .required("job-id", \.jobID, "The job's name"),
      .defaulted("speed", \.speed, "Bytes a second; 0 for no limit").nonNegative,
      .defaulted("auto-finalize", \.autoFinalize, "Whether the last step needs no job-finalize"),
      .defaulted("auto-dismiss", \.autoDismiss, "Whether the job vanishes once concluded"),
      .defaulted("x-own-nodes", \.ownNodes, "Nodes that close when the job concludes"),
    ]
  }
}
