package import BlockGraph
package import BlockRuntime

/// Remembers which overlays were committed while nothing of their chains was written to or moved
/// since: those can be emptied without comparing first.
///
/// Isolation: control plane.
@ControlPlane
package final class CommitMemory {
  private struct Layer {
    weak var node: BlockNode?
    let generation: Int
  }

  /// Chains from their tops down.
  private var entries: [[Layer]] = []

  package init() {}

  /// Everything that the top of `chain` holds is now in the node directly under it, or shows there
  /// from what lies below, and is durable; and no write to any of them is on its way.
  package func note(_ chain: BackingChain) {
    entries.removeAll { layers in
      layers.contains { $0.node == nil } || layers.first?.node === chain.top
    }
    entries.append(chain.nodes.map { Layer(node: $0, generation: $0.writeGeneration) })
  }

  /// Whether the top of `chain` was committed into what lies under it, and since then no layer was
  /// written to and no other one has come between or under them.
  package func holds(_ chain: BackingChain) -> Bool {
    entries.contains { layers in
      layers.count == chain.nodes.count
        && zip(layers, chain.nodes).allSatisfy { (layer, node) in
          layer.node === node && layer.generation == node.writeGeneration
        }
    }
  }
}
