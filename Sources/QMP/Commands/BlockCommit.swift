/// Copies an overlay's data down into its base.
///
/// Isolation: value.
package struct BlockCommit: QMPCommand {
  package typealias Reply = EmptyReply

  package var jobID: String?
  package var device = ""
  package var baseNode: String?
  package var base: String?
  package var baseDepth: Int?
  package var topNode: String?
  package var top: String?
  package var backingFile: String?
  package var backingMaskProtocol = false
  package var speed = 0
  package var onError = OnError.report
  package var filterNodeName: String?
  package var autoFinalize = true
  package var autoDismiss = true
  package var autoComplete = false
  package var makeEmpty = false
  package var skipIdentical = false
  package var ownNodes: [String] = []

  package init() {}

  package static let name = "block-commit"
  package static let summary =
    "Starts a job that copies the data between base and top down into base"
  package static let members: [WireMember<Self>] = [
    .optional("job-id", \.jobID, "The job's name; absent, the device's"),
    .required("device", \.device, "The root node of the chain"),
    .optional("base-node", \.baseNode, "The node to copy into; absent, the lowest"),
    .optional("base", \.base, "The file to copy into, as its overlay names it; deprecated"),
    .optional(
      "x-base-depth", \.baseDepth,
      "How far below top to copy into: 1 is the image right under it; not with base or base-node"
    ).within(1...Int.max, "a value from 1"),
    .optional("top-node", \.topNode, "The highest node to copy; absent, the root"),
    .optional("top", \.top, "The file of the highest node to copy; deprecated"),
    .optional(
      "backing-file", \.backingFile,
      "The name of base to store in the overlay of top; absent, base's file name"),
    .defaulted(
      "backing-mask-protocol", \.backingMaskProtocol,
      "Whether to store format raw in place of a protocol's name"),
    .defaulted("speed", \.speed, "Bytes a second; 0 for no limit").nonNegative,
    .defaulted("on-error", \.onError, "What to do when I/O fails"),
    .optional(
      "filter-node-name", \.filterNodeName, "The name of the node that the job puts above top"),
    .defaulted("auto-finalize", \.autoFinalize, "Whether the last step needs no job-finalize"),
    .defaulted("auto-dismiss", \.autoDismiss, "Whether the job vanishes once concluded"),
    .defaulted(
      "x-auto-complete", \.autoComplete, "Whether a ready job completes without being asked"),
    .defaulted("x-make-empty", \.makeEmpty, "Whether top is emptied once base is durable"),
    .defaulted(
      "x-skip-identical", \.skipIdentical,
      "Whether data that base shows already is compared and not written again"),
    .defaulted("x-own-nodes", \.ownNodes, "Nodes that close when the job concludes"),
  ]
}
