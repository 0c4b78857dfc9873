package import BlockCore
import BlockRuntime

extension BlockGraph {
  /// Closes a node that a client added, and the nodes below it that nobody else uses. An error of
  /// closing is thrown after the node is gone.
  ///
  /// Throws `notFound`, and `busy` where a node above, or a job, uses it.
  package func remove(named name: String) async throws(BlockError) {
    // Known at once, however long a change that is on its way may take: its disk may be stuck.
    if let node = node(named: name) { try requireUnused(node) }
    try await edits.run {
      self.scope(named: [name])
    } _: { () async throws(BlockError) in
      guard let entry = entries[name] else { throw BlockGraph.unknown(name) }
      try requireUnused(entry.node)
      guard entry.isOwnedByClient else {
        throw BlockError(.busy, "Node \(name) is not owned by the monitor")
      }
      try await close([entry.node])
    }
  }

  /// Throws `busy` where a node above, or a job, uses `node`.
  func requireUnused(_ node: BlockNode) throws(BlockError) {
    let users = holders(of: node)
    // Who only counts on what it shows does so because of a node above, which stays.
    let holder = users.first { $0.permissions != .kept } ?? users.first
    if let holder { throw holder.user.busy(node.name) }
  }

  /// Closes these nodes as far as they are there and nobody uses them, parents before children,
  /// and what lies below them: for nodes that belonged to a job. Errors are left aside.
  package func closeNodes(_ names: [String]) async {
    await edits.run {
      self.scope(named: names)
    } _: { () async throws(Never) in
      var rest = names
      while let index = rest.firstIndex(where: { isUnused($0) }) {
        guard let node = node(named: rest.remove(at: index)) else { continue }
        try? await close([node])
      }
    }
  }

  /// Closes every node, parents before children, whoever uses them: at the end of the process, when
  /// there are no jobs any more. Returns the errors.
  package func closeAll() async -> [BlockError] {
    await edits.run {
      .everything
    } _: { () async throws(Never) -> [BlockError] in
      var errors: [BlockError] = []
      while let node = allNodes.last(where: { parents(of: $0).isEmpty }) {
        do throws(BlockError) {
          try await close([node])
        } catch {
          errors.append(error)
        }
      }
      return errors
    }
  }

  private func isUnused(_ name: String) -> Bool {
    node(named: name).map { holders(of: $0).isEmpty } ?? false
  }

  /// Closes `nodes`, and then every node below that came with them and has no user left. All are
  /// closed, whatever fails; the first error is thrown.
  func close(_ nodes: [BlockNode]) async throws(BlockError) {
    var first: BlockError?
    var queue = nodes
    while let node = queue.popLast() {
      let below = [node.file, backing(of: node)].compactMap { $0 }
      take(node.name)
      if case .failure(let error) = await shut(node), first == nil { first = error }
      for child in below where holders(of: child).isEmpty {
        if let entry = entries[child.name], !entry.isOwnedByClient {
          queue.append(child)
        } else {
          await unlockIfUnused(child)
        }
      }
    }
    if let first { throw first }
  }

  /// Lets go of the locks of a file node that is still open and that nobody uses any more. Errors
  /// are left aside: giving up locks cannot fail where taking them did not.
  func unlockIfUnused(_ node: BlockNode) async {
    guard entries[node.name]?.node === node, node.file == nil, holders(of: node).isEmpty else {
      return
    }
    _ = await lanes.perform(on: node.device) { () throws(BlockError) in
      try node.setAccess(.unused)
    }
  }

  /// Closes one node when its last request is done; requests that come later fail.
  private func shut(_ node: BlockNode) async -> Result<Void, BlockError> {
    await drain([node])
    defer { node.gate.resume() }
    let lane = Lane(label: "qblockd.close")
    return await lane.perform { () throws(BlockError) in try node.close() }
  }
}
