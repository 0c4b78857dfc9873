// Nodes: open, close, make, resize, list.

/// Opens a node. Its arguments are those of `BlockdevOptions` themselves.
///
/// Isolation: value.
package struct BlockdevAdd: QMPCommand {
  package typealias Reply = EmptyReply

  package var options = BlockdevOptions()

  package init() {}

  /// Opens what `options` say.
  package init(_ options: BlockdevOptions) { self.options = options }

  package static let name = "blockdev-add"
  package static let summary = "Opens a node, and with it the nodes below it"
  package static let members: [WireMember<Self>] = BlockdevOptions.members.map {
    $0.lifted(to: \.options)
  }
}

/// Changes open nodes.
///
/// Isolation: value.
package struct BlockdevReopen: QMPCommand {
  package typealias Reply = EmptyReply

  package var options: [BlockdevOptions] = []

  package init() {}

  package static let name = "blockdev-reopen"
  package static let summary = "Gives nodes new options, all of them or none"
  package static let members: [WireMember<Self>] = [
    .required("options", \.options, "The nodes, each as in an opening")
  ]
}

/// Closes a node.
///
/// Isolation: value.
package struct BlockdevDel: QMPCommand {
  package typealias Reply = EmptyReply

  package var nodeName = ""

  package init() {}

  package static let name = "blockdev-del"
  package static let summary = "Closes a node that nobody uses"
  package static let members: [WireMember<Self>] = [
    .required("node-name", \.nodeName, "The node")
  ]
}

/// Makes an image, as a job.
///
/// Isolation: value.
package struct BlockdevCreate: QMPCommand {
  package typealias Reply = EmptyReply

  package var jobID = ""
  package var options = BlockdevCreateOptions()

  package init() {}

  package static let name = "blockdev-create"
  package static let summary = "Starts a job that makes a file, or an image in a node"
  package static let members: [WireMember<Self>] = [
    .required("job-id", \.jobID, "The job's name; it is not dismissed by itself"),
    .required("options", \.options, "The image to make"),
  ]
}

/// Changes the size of a guest's disk.
///
/// Isolation: value.
package struct BlockResize: QMPCommand {
  package typealias Reply = EmptyReply

  package var device: String?
  package var nodeName: String?
  package var size = 0

  package init() {}

  package static let name = "block_resize"
  package static let summary =
    "Changes the size of a node's disk; one of device and node-name is needed"
  package static let members: [WireMember<Self>] = [
    .optional("device", \.device, "The node, by its old name"),
    .optional("node-name", \.nodeName, "The node"),
    .required("size", \.size, "The new size in bytes").within(0...Int.max, "a >0 size"),
  ]
}

/// Changes the name of a backing file in an image's header.
///
/// Isolation: value.
package struct ChangeBackingFile: QMPCommand {
  package typealias Reply = EmptyReply

  package var device = ""
  package var imageNodeName = ""
  package var backingFile = ""

  package init() {}

  package static let name = "change-backing-file"
  package static let summary =
    "Writes another name for the backing file into an image; what is open stays as it is"
  package static let members: [WireMember<Self>] = [
    .required("device", \.device, "The root node of the chain"),
    .required("image-node-name", \.imageNodeName, "The node of the image"),
    .required("backing-file", \.backingFile, "The name to write; empty for none"),
  ]
}

/// Tells what has passed through nodes.
///
/// Isolation: value.
package struct QueryBlockStats: QMPCommand {
  package typealias Reply = [BlockStats]

  package var queryNodes = false

  package init() {}

  package static let name = "query-blockstats"
  package static let allowsOutOfBand = true
  package static let summary = "What has passed through devices, or through all nodes"
  package static let members: [WireMember<Self>] = [
    .defaulted("query-nodes", \.queryNodes, "Whether to tell of nodes; there are no devices")
  ]
}

/// Lists all nodes.
///
/// Isolation: value.
package struct QueryNamedBlockNodes: QMPCommand {
  package typealias Reply = [BlockNodeInfo]

  package var flat = false

  package init() {}

  package static let name = "query-named-block-nodes"
  package static let summary = "All nodes with their files and images"
  package static let members: [WireMember<Self>] = [
    .defaulted("flat", \.flat, "Whether to leave out the images below each node's own")
  ]
}
