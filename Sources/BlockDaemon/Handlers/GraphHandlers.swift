import BlockGraph
import BlockIO
import BlockRuntime
import QMP

extension CommandDispatcher {
  /// The command that shows the graph.
  func addGraphHandlers(_ graph: BlockGraph) {
    on(QueryBlockGraph.self) { (_) async throws(QMPError) in
      BlockGraphInfo(nodes: graph.allNodes.map(\.name), uses: graph.uses)
    }
  }
}

extension BlockGraphInfo {
  /// The graph of `nodes`, numbered in their order, and of the jobs among `uses`, behind them.
  fileprivate init(nodes names: [String], uses: [GraphUse]) {
    self.init()
    var numbers: [GraphUse.Parent: Int] = [:]
    func number(_ parent: GraphUse.Parent, _ kind: BlockGraphNode.Kind, _ name: String) -> Int {
      if let known = numbers[parent] { return known }
      let number = nodes.count + 1
      numbers[parent] = number
      nodes.append(
        BlockGraphNode {
          ($0.id, $0.kind, $0.name) = (number, kind, name)
        })
      return number
    }
    for name in names { _ = number(.node(name), .driver, name) }
    for use in uses {
      let parent =
        switch use.parent {
        case .node(let name): number(use.parent, .driver, name)
        case .job(let id): number(use.parent, .job, id)
        }
      let child = number(.node(use.child), .driver, use.child)
      edges.append(
        BlockGraphEdge {
          ($0.parent, $0.child, $0.name) = (parent, child, use.name)
          $0.permissions = use.claim.uses.wire
          $0.shared = use.claim.shares.wire
        })
    }
  }
}

extension LockPermissions {
  /// The protocol's words for them.
  fileprivate var wire: [BlockPermission] {
    let words: [(LockPermissions, BlockPermission)] = [
      (.consistentRead, .consistentRead), (.write, .write), (.writeUnchanged, .writeUnchanged),
      (.resize, .resize),
    ]
    return words.filter { contains($0.0) }.map(\.1)
  }
}
