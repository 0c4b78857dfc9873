import BlockCore
package import BlockIO
import BlockRuntime

/// One use of a node, for who looks for what is in the way.
///
/// Isolation: value.
package struct GraphUse: Hashable, Sendable {
  /// Who uses a node.
  package enum Parent: Hashable, Sendable {
    case node(String)
    case job(String)
  }

  package var parent: Parent
  /// The node's name.
  package var child: String
  /// `file`, `backing` or `node`.
  package var name: String
  /// What the parent does, and what it lets others do.
  package var claim: LockClaim
}

extension BlockGraph {
  /// Every use of every node, in the order of the nodes; commands at work have no name.
  package var uses: [GraphUse] {
    allNodes.flatMap { node in
      holders(of: node).compactMap { holder in
        switch holder.user {
        case .job(let id, _):
          GraphUse(parent: .job(id), child: node.name, name: "node", claim: holder.permissions)
        case .parent(let parent, let role):
          GraphUse(
            parent: .node(parent), child: node.name, name: role.rawValue,
            claim: holder.permissions)
        case .command: nil
        }
      }
    }
  }
}
