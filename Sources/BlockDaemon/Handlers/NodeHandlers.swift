import BlockCore
import BlockGraph
import BlockRuntime
import QMP

extension CommandDispatcher {
  /// The commands that open, close, size and list nodes.
  func addNodeHandlers(_ services: DaemonServices) {
    let graph = services.graph
    onEngine(BlockdevAdd.self) { (call) async throws(BlockError) in
      _ = try await graph.add(NodeSpecification(call.options))
      return EmptyReply()
    }
    onEngine(BlockdevReopen.self) { (call) async throws(BlockError) in
      try await graph.reopen(call.options.map(NodeSpecification.init))
      return EmptyReply()
    }
    onEngine(BlockdevDel.self) { (call) async throws(BlockError) in
      try await graph.remove(named: call.nodeName)
      return EmptyReply()
    }
    on(BlockResize.self) { (call) async throws(QMPError) in
      try await services.resize(call)
      return EmptyReply()
    }
    onEngine(QueryNamedBlockNodes.self) { (call) async throws(BlockError) in
      await graph.lookAtDevices()
      var list: [BlockNodeInfo] = []
      for node in graph.allNodes {
        do throws(BlockError) {
          list.append(BlockNodeInfo(try await graph.facts(of: node, alone: call.flat)))
        } catch {
          // A node may be closed while it, or another one, is asked.
          if graph.node(named: node.name) === node { throw error }
        }
      }
      return list
    }
    on(QueryBlockStats.self) { (call) async throws(QMPError) in
      call.queryNodes ? graph.allNodes.map(BlockStats.init) : []
    }
  }
}

extension DaemonServices {
  /// The node that a command calls `name`.
  func node(_ name: String) throws(QMPError) -> BlockNode {
    guard let node = graph.node(named: name) else { throw .nodeNotFound(node: name) }
    return node
  }

  /// The node that `name` calls where QEMU would also look for a device.
  func deviceOrNode(_ name: String) throws(QMPError) -> BlockNode {
    guard let node = graph.node(named: name) else {
      throw .nodeNotFound(device: name, node: name)
    }
    return node
  }

  fileprivate func resize(_ call: BlockResize) async throws(QMPError) {
    let node: BlockNode
    switch (call.device, call.nodeName) {
    case (let device?, nil):
      guard let found = graph.node(named: device) else { throw .nodeNotFound(device: device) }
      node = found
    case (nil, let name?): node = try self.node(name)
    default: throw QMPError("Need exactly one of 'device' and 'node-name'")
    }
    // As for every qcow2 image that is made: QEMU counts its disks in sectors.
    guard node.driverName != "qcow2" || call.size.isMultiple(of: 512) else {
      throw QMPError("The new size must be a multiple of 512")
    }
    do throws(BlockError) {
      try await graph.resize(node, to: call.size)
    } catch {
      throw QMPError(error)
    }
  }
}
