import BlockCore
import BlockGraph
import BlockRuntime
import ImageFormats

/// The permissions that a job holds, and the nodes that it opened for writing.
///
/// Isolation: control plane.
@ControlPlane
final class NodeClaims {
  private let graph: BlockGraph
  private let user: NodeUser
  private var tokens: [PermissionToken] = []
  private var reopened: [BlockNode] = []
  private var reopenedFile: BlockNode?

  init(_ graph: BlockGraph, id: String, type: JobType) {
    self.graph = graph
    user = .job(id: id, type: type.rawValue)
  }

  /// Takes `permissions` on `node`; edges from `besides` are the job's own affair. What was taken
  /// before is given back when it throws.
  func take(
    _ node: BlockNode, _ permissions: NodePermissions, besides: [BlockNode] = []
  ) throws(BlockError) {
    do throws(BlockError) {
      tokens.append(try graph.acquire(node, permissions, for: user, besides: besides))
    } catch {
      releaseAll()
      throw error
    }
  }

  /// Keeps `nodes` as they are until `giveBack`: the layers under those that the job works on,
  /// which show through them. Another job may not write to them, nor take them out of the chain.
  func keep(_ nodes: some Sequence<BlockNode>) throws(BlockError) {
    for node in nodes { try take(node, .kept) }
  }

  /// Opens `node` for writing until `giveBack`.
  func openForWriting(_ node: BlockNode) async throws(BlockError) {
    // A damaged one is open for writing as it is, and says by itself what is the matter.
    guard node.image.isReadOnly else { return }
    try await graph.reopen(node, readOnly: false)
    reopened.append(node)
  }

  /// Opens the file of `node`, which stays read-only itself, for writing until `giveBack`.
  func openFileForWriting(of node: BlockNode) async throws(BlockError) {
    try await graph.reopenFile(of: node, readOnly: false)
    reopenedFile = node
  }

  /// Gives up the permissions on these nodes.
  func release(_ nodes: some Sequence<BlockNode>) {
    for node in nodes {
      for token in tokens where token.node == node.name { graph.release(token) }
      tokens.removeAll { $0.node == node.name }
    }
  }

  private func releaseAll() {
    tokens.forEach(graph.release)
    tokens = []
  }

  /// Gives everything back: nodes that were read-only are so again. Where that fails they stay
  /// writable; what the job has done is done. The permissions go last: who gets one finds the node
  /// as it stays, and who does not is told of the job, however long its disk takes.
  func giveBack() async {
    defer { releaseAll() }
    for node in reopened.reversed() where graph.node(named: node.name) === node {
      try? await graph.reopen(node, readOnly: true)
    }
    reopened = []
    if let node = reopenedFile, graph.node(named: node.name) === node {
      try? await graph.reopenFile(of: node, readOnly: true)
    }
    reopenedFile = nil
  }
}
