// What our client needs to know of nodes beyond QEMU's queries; extensions of ours.

/// Tells what there is to know of one node's image.
///
/// Isolation: value.
package struct NodeInfoQuery: QMPCommand {
  package typealias Reply = NodeInfo

  package var node = ""

  package init() {}

  package static let name = "x-node-info"
  package static let summary = "A node's format, sizes, backing file and features"
  package static let members: [WireMember<Self>] = [
    .required("node", \.node, "The node")
  ]
}

/// Tells where the bytes of a guest's disk live, a page at a time.
///
/// Isolation: value.
package struct NodeMapQuery: QMPCommand {
  package typealias Reply = NodeMap

  package var node = ""
  package var offset = 0
  package var limit = 1_000

  package init() {}

  package static let name = "x-node-map"
  package static let summary = "Where a guest's bytes live: the extents from an offset on"
  package static let members: [WireMember<Self>] = [
    .required("node", \.node, "The node"),
    .defaulted("offset", \.offset, "The first byte asked for").nonNegative,
    .defaulted("limit", \.limit, "Extents in one answer").within(
      1...10_000, "a value from 1 to 10000"),
  ]
}
