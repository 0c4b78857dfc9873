// Overlays over nodes that are open.

/// Puts one node over another.
///
/// Isolation: value.
package struct BlockdevSnapshot: QMPCommand {
  package typealias Reply = EmptyReply

  package var node = ""
  package var overlay = ""

  package init() {}

  package static let name = "blockdev-snapshot"
  package static let summary = "Puts a node without a backing node over another one"
  package static let members: [WireMember<Self>] = [
    .required("node", \.node, "The node to keep as it is"),
    .required("overlay", \.overlay, "The node that takes what is written from now on"),
  ]
}

/// Makes an overlay and opens it over a node.
///
/// Isolation: value.
package struct BlockdevSnapshotSync: QMPCommand {
  package typealias Reply = EmptyReply

  /// Where the overlay comes from.
  package enum Mode: String, WireEnum {
    /// It is there already.
    case existing
    /// It is made, and names the node's file by its absolute path.
    case absolutePaths = "absolute-paths"
  }

  package var device: String?
  package var nodeName: String?
  package var file = ""
  package var overlayName: String?
  package var format = "qcow2"
  package var mode = Mode.absolutePaths

  package init() {}

  package static let name = "blockdev-snapshot-sync"
  package static let summary =
    "Makes an overlay, or takes one that is there, and opens it over a node"
  package static let members: [WireMember<Self>] = [
    .optional("device", \.device, "The node to keep as it is, by its old name"),
    .optional("node-name", \.nodeName, "The node to keep as it is"),
    .required("snapshot-file", \.file, "The overlay's file"),
    .optional("snapshot-node-name", \.overlayName, "The overlay's node; absent: a name with #"),
    .defaulted("format", \.format, "The overlay's format"),
    .defaulted("mode", \.mode, "Whether the overlay is made"),
  ]
}
