import BlockCore
import BlockIO
import BlockRuntime
import ImageFormats

extension BlockGraph {
  /// `error` with the node that has the file open, where the file is locked and a node of this
  /// graph holds it. `own` is who wanted the lock; it is not in its own way.
  func naming(_ error: BlockError, wantedBy own: BlockNode? = nil) async -> BlockError {
    guard error.code == .locked, let file = error.file else { return error }
    let gate = gate
    let identity = await lanes.perform(on: DeviceKey(opening: file)) { () throws(BlockError) in
      try gate.identity(of: try FileName(file))
    }
    guard case .success(let identity) = identity,
      let holder = holder(of: identity, besides: [own, own?.file].compactMap { $0 })
    else { return error }
    var named = error
    named.node = holder.name
    named.message += "; this daemon has it open as node '\(holder.name)'"
    if let root = root(over: holder), root !== holder { named.message += " under '\(root.name)'" }
    if let job = job(on: holder) { named.message += ", which job '\(job)' uses" }
    return named
  }

  /// The image over the file with this identity, or the file's own node where there is none.
  private func holder(of identity: FileIdentity, besides own: [BlockNode]) -> BlockNode? {
    let open = allNodes.filter { node in
      node.bottomFile?.identity == identity && !own.contains { $0 === node }
    }
    return open.first { $0.file != nil } ?? open.first
  }

  /// The node of a client's own through which `node` came, if it came so.
  private func root(over node: BlockNode) -> BlockNode? {
    var root: BlockNode? = node
    while let next = root, entries[next.name]?.isOwnedByClient == false {
      root = parents(of: next).first?.node
    }
    return root
  }

  /// The job that uses `node`.
  private func job(on node: BlockNode) -> String? {
    for holder in entries[node.name]?.holders ?? [] {
      if case .job(let id, _) = holder.user { return id }
    }
    return nil
  }
}
