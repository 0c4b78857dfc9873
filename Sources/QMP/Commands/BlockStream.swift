/// Copies up into an overlay what it shows of the images below it, and takes those out of the
/// chain.
///
/// Isolation: value.
package struct BlockStream: QMPCommand {
  package typealias Reply = EmptyReply

  package var jobID: String?
  package var device = ""
  package var base: String?
  package var baseNode: String?
  package var bottom: String?
  package var backingFile: String?
  package var backingMaskProtocol = false
  package var speed = 0
  package var onError = OnError.report
  package var filterNodeName: String?
  package var autoFinalize = true
  package var autoDismiss = true
  package var ownNodes: [String] = []

  package init() {}

  package static let name = "block-stream"
  package static let summary =
    "Starts a job that copies what a node shows of the images between it and base up into it"
  package static let members: [WireMember<Self>] = [
    .optional("job-id", \.jobID, "The job's name; absent, the device's"),
    .required("device", \.device, "The node to copy into"),
    .optional("base", \.base, "The file of the new backing image; deprecated"),
    .optional("base-node", \.baseNode, "The new backing node; absent, none"),
    .optional("bottom", \.bottom, "The lowest node to copy from; what lies under it is the base"),
    .optional(
      "backing-file", \.backingFile, "The name of base to store in the image; absent, its own"),
    .defaulted(
      "backing-mask-protocol", \.backingMaskProtocol,
      "Whether to store format raw in place of a protocol's name"),
    .defaulted("speed", \.speed, "Bytes a second; 0 for no limit").nonNegative,
    .defaulted("on-error", \.onError, "What to do when I/O fails"),
    .optional(
      "filter-node-name", \.filterNodeName, "The name of the node that the job puts above device"),
    .defaulted("auto-finalize", \.autoFinalize, "Whether the last step needs no job-finalize"),
    .defaulted("auto-dismiss", \.autoDismiss, "Whether the job vanishes once concluded"),
    .defaulted("x-own-nodes", \.ownNodes, "Nodes that close when the job concludes"),
  ]
}
