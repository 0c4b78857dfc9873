/// Empties an overlay whose data its backing file has; an extension of ours.
///
/// Isolation: value.
package struct BlockMakeEmpty: JobStartingCommand {
  /// How an overlay is emptied.
  package enum Mode: String, WireEnum {
    /// `reset` where the image allows it, else `discard`.
    case auto
    /// New empty tables, then one switch: its cost does not depend on the data.
    case reset
    /// Cluster by cluster, so that snapshots, bitmaps and unknown extensions survive.
    case discard
  }

  package typealias Reply = EmptyReply

  package var node = ""
  package var mode = Mode.auto
  package var force = false
  package var job = JobStart()

  package init() {}

  package static let name = "block-make-empty"
  package static let summary = "Starts a job that empties an overlay, unless a guest would see it"
  package static let members: [WireMember<Self>] =
    [
      .required("node", \.node, "The overlay"),
      .defaulted("mode", \.mode, "How to empty it"),
      .defaulted("force", \.force, "Whether to skip the comparison with what lies below"),
    ] + jobMembers
}
