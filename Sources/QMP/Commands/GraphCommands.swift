/// Shows the graph of nodes with who uses what, and how; for people who look for what is in the
/// way.
///
/// Isolation: value.
package struct QueryBlockGraph: QMPCommand {
  package typealias Reply = BlockGraphInfo

  package init() {}

  package static let name = "x-debug-query-block-graph"
  package static let features = ["unstable"]
  package static let allowsOutOfBand = true
  package static let summary = "All nodes and jobs, and who uses which node in what way"
  package static let members: [WireMember<Self>] = []
}

/// The graph.
///
/// Isolation: value.
package struct BlockGraphInfo: WireRecord {
  package var nodes: [BlockGraphNode] = []
  package var edges: [BlockGraphEdge] = []

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("nodes", \.nodes, "Everything that uses or is used"),
    .required("edges", \.edges, "Every use"),
  ]
}

/// A node, or a job that uses nodes.
///
/// Isolation: value.
package struct BlockGraphNode: WireRecord {
  /// What it is.
  package enum Kind: String, WireEnum {
    /// A node.
    case driver = "block-driver"
    /// A job.
    case job = "block-job"
  }

  package var id = 0
  package var kind = Kind.driver
  package var name = ""

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("id", \.id, "Its number in this answer"),
    .required("type", \.kind, "What it is"),
    .required("name", \.name, "The node's name, or the job's"),
  ]
}

/// One use of a node.
///
/// Isolation: value.
package struct BlockGraphEdge: WireRecord {
  package var parent = 0
  package var child = 0
  package var name = ""
  package var permissions: [BlockPermission] = []
  package var shared: [BlockPermission] = []

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("parent", \.parent, "Who uses it"),
    .required("child", \.child, "What is used"),
    .required("name", \.name, "What for"),
    .required("perm", \.permissions, "What the parent does with it"),
    .required("shared-perm", \.shared, "What the parent lets others do with it"),
  ]
}

/// A way to use a node.
///
/// Isolation: value.
package enum BlockPermission: String, WireEnum {
  /// Reads that may count on the data making sense.
  case consistentRead = "consistent-read"
  /// Writes that change what is read.
  case write
  /// Writes that do not.
  case writeUnchanged = "write-unchanged"
  /// Changes of the length.
  case resize
}
