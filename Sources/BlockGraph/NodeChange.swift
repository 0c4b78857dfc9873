import BlockIO

/// What one node is to become when nodes are reopened.
///
/// Isolation: value.
struct NodeChange {
  /// What becomes of the edge to the node below.
  enum Backing {
    case stays
    case becomes(BlockNode?)
  }

  let node: BlockNode
  /// What is said of the node itself from now on.
  var specification: NodeSpecification
  /// How it is to be open. For a file under a format node the format decides what is read-only.
  var settings: AccessSettings
  var options: NodeOptions
  var backing = Backing.stays
  /// Whether a client said of the file itself that it must not be written; nil where none did.
  var isDeclaredReadOnly: Bool?
}

/// The changes of one command, the last for each node counting, in the order of their first.
///
/// Isolation: value.
struct NodeChanges {
  private(set) var all: [NodeChange] = []
  /// The nodes that the command names as ones to be changed.
  let named: Set<String>

  init(named: Set<String>) { self.named = named }

  /// The changes in an order that lets each of them be: a file may be written before its format
  /// writes, and its format ceases to write before it may not be.
  var inOrder: [NodeChange] {
    let files = all.filter { $0.node.file == nil }
    return files.filter { !$0.settings.isReadOnly } + all.filter { $0.node.file != nil }
      + files.filter { $0.settings.isReadOnly }
  }

  /// Puts `change` in the place of another of the same node, or behind the others.
  mutating func add(_ change: NodeChange) {
    if let index = all.firstIndex(where: { $0.node === change.node }) {
      all[index] = change
    } else {
      all.append(change)
    }
  }
}
