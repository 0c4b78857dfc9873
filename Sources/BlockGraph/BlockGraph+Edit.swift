package import BlockCore
import BlockIO
import BlockRuntime
package import ImageFormats

extension BlockGraph {
  /// Opens `node` for writing, or for reading only, with the locks that go with it; waits for the
  /// requests on their way. Where it fails nothing has changed.
  ///
  /// Throws `permission` where no client named the file and there are no roots to bind it, and what
  /// opening throws: `permission`, `readOnly`, `locked`.
  package func reopen(_ node: BlockNode, readOnly: Bool) async throws(BlockError) {
    try await edits.run {
      self.scope([node])
    } _: { () async throws(BlockError) in
      try await reopenNow(node, readOnly: readOnly)
    }
  }

  /// Opens the file of the read-only format node `node` for writing, or for reading only again; the
  /// node stays read-only, so that only a repair can change anything. Throws what `reopen` throws.
  package func reopenFile(of node: BlockNode, readOnly: Bool) async throws(BlockError) {
    try await edits.run {
      self.scope([node])
    } _: { () async throws(BlockError) in
      guard entries[node.name] != nil else { throw BlockGraph.unknown(node.name) }
      let claim = readOnly ? nil : try claimFile(of: node)
      defer { claim.map(release) }
      let changed = await lanes.perform(on: node.device) { () throws(BlockError) in
        try node.reopenFile(readOnly: readOnly)
      }
      if case .failure(let error) = changed { throw await naming(error, wantedBy: node) }
      update(node) { $0.writesFile = !readOnly }
      if let file = node.file { update(file) { $0.settings.isReadOnly = readOnly } }
    }
  }

  /// Sets the length of the guest's disk. Throws `busy` where a job uses the node or another image
  /// lies over it, `locked` where a format reads the node's bytes, which count on their length, and
  /// what `ImageDriver.resize` throws.
  ///
  /// Crash: what `ImageDriver.resize` says; after its end also what comes in reads zero, though
  /// nothing was written where zeros show from below. Tests: `CommitOrderTests`.
  package func resize(_ node: BlockNode, to size: Int) async throws(BlockError) {
    try requireNoJob(on: node)
    if let overlay = overlays(of: node).first {
      throw NodeUser.parent(node: overlay.name, role: .backing).busy(node.name)
    }
    let use = try acquire(node, .resizer, for: .command)
    defer { release(use) }
    let chain = chain(from: node)
    let below = chain.view(from: 1)
    try await lanes.perform(on: chain.device) { () throws(BlockError) in
      try node.resize(to: size, over: below)
      // Zeros that show through the disk's new end already were not written.
      try chain.makeDurable(from: 1)
    }.get()
  }

  /// Puts `base` directly under `overlay`: only in the graph, the image's header stays. The nodes
  /// between, if nobody else uses them, are the caller's to close.
  package func setBacking(of overlay: BlockNode, to base: BlockNode?) {
    if let base { precondition(!chain(from: base).nodes.contains { $0 === overlay }, "a loop") }
    update(overlay) { $0.backing = base }
  }

  /// Makes `base` the backing file of `overlay` in its header, durably, and in the graph, and
  /// closes the nodes between that came with the chain and nobody else uses. `link` is what the
  /// header is to say.
  ///
  /// `overlay` is opened for writing meanwhile where it is not; its requests wait. Where it fails
  /// nothing has changed in the graph; a crash, or a flush that fails, leaves the old or the new
  /// header, and both lead to the same bytes if the caller has made them so. Tests:
  /// `CommitOrderTests`, `CrashSmokeTests` (intermediate commit).
  package func dropIntermediates(
    under overlay: BlockNode, to base: BlockNode?, writing link: BackingLink?
  ) async throws(BlockError) {
    try await edits.run {
      self.scope([overlay, base])
    } _: { () async throws(BlockError) in
      let wasReadOnly = entries[overlay.name]?.isReadOnly ?? true
      if wasReadOnly { try await reopenNow(overlay, readOnly: false) }
      let written = await drained([overlay]) { () throws(BlockError) in
        try overlay.image.setBackingLink(link)
      }
      if case .success = written {
        update(overlay) { $0.backingName = link?.name }
        let old = backing(of: overlay)
        setBacking(of: overlay, to: base)
        if let old, old !== base { try? await closeIfUnused(old) }
      }
      // The header is what counts: a node that stays writable is no reason to call it a failure.
      if wasReadOnly { try? await reopenNow(overlay, readOnly: true) }
      try written.get()
    }
  }

  /// Lets everybody who used `old` as a backing node use `new` instead, in the graph only. For the
  /// end of an active commit: the node that the guest uses is `new` from now on.
  package func replace(_ old: BlockNode, with new: BlockNode) async {
    await edits.run {
      self.scope([old, new])
    } _: { () async throws(Never) in
      let overlays = overlays(of: old)
      await drain(overlays)
      for overlay in overlays where overlay !== new { setBacking(of: overlay, to: new) }
      overlays.forEach { $0.gate.resume() }
    }
  }

  /// Throws `permission` where `node` may not become writable because only images name its file
  /// and there are no roots to bind it, `readOnly` where a client said so of its file, and `locked`
  /// where another image lies in the same file: what `reopen` would throw, but before anything is
  /// done.
  package func checkMayWrite(_ node: BlockNode) throws(BlockError) {
    try checkIsNamed(node)
    guard let file = node.file else { return }
    let writer = NodeHolder(user: .parent(node: node.name, role: .file), permissions: .writer)
    try admit(writer, to: file, besides: [node])
  }

  /// Throws what `checkMayWrite` throws for what clients have said.
  private func checkIsNamed(_ node: BlockNode) throws(BlockError) {
    guard gate.allowsWriting(origin(of: node)) else {
      throw BlockError(
        .permission,
        "'\(node.fileName)' is named only by the image over it, and is not made writable: name the "
          + "file in a command, or start qblockd with --image-root", file: node.fileName)
    }
    if let file = node.file, entries[file.name]?.isDeclaredReadOnly ?? false {
      throw BlockError(.readOnly, "Block node '\(file.name)' is read-only", file: node.fileName)
    }
  }

  func reopenNow(_ node: BlockNode, readOnly: Bool) async throws(BlockError) {
    guard let entry = entries[node.name] else { throw BlockGraph.unknown(node.name) }
    guard entry.isReadOnly != readOnly else { return }
    let claim = readOnly ? nil : try claimFile(of: node)
    defer { claim.map(release) }
    let opened = await lanes.perform(on: node.device) { () throws(BlockError) in
      try node.reopen(readOnly: readOnly)
    }
    if case .failure(let error) = opened { throw await naming(error, wantedBy: node) }
    for changed in [node, node.file].compactMap({ $0 }) {
      update(changed) { entry in
        entry.settings.isReadOnly = readOnly
        // Whatever became of a repair before: the file is as the image is now.
        entry.writesFile = false
      }
    }
  }

  /// Keeps others from the file of `node`, which is about to become writable, until the token is
  /// given back: from then on the edge does. Two who write to one file would each allocate what the
  /// other has. Throws what `checkMayWrite` throws.
  private func claimFile(of node: BlockNode) throws(BlockError) -> PermissionToken? {
    try checkIsNamed(node)
    guard let file = node.file else { return nil }
    return try acquire(
      file, .writer, for: .parent(node: node.name, role: .file), besides: [node])
  }

  /// Who named the file under `node`: a client, also where it was under another node's name.
  private func origin(of node: BlockNode) -> OpenGate.Origin {
    guard let identity = node.bottomFile?.identity else { return .client }
    let isNamed = entries.values.contains { entry in
      entry.node.hostFile?.identity == identity && entry.origin == .client
    }
    return isNamed ? .client : .image
  }

  /// Closes `node`, and what lies below it, unless a client owns it or somebody uses it.
  func closeIfUnused(_ node: BlockNode) async throws(BlockError) {
    guard let entry = entries[node.name], entry.node === node, !entry.isOwnedByClient,
      holders(of: node).isEmpty
    else { return }
    try await close([node])
  }

  /// Stops the requests of `nodes`, parents before children, and waits for those on their way.
  func drain(_ nodes: [BlockNode]) async {
    for node in nodes {
      await withCheckedContinuation { continuation in
        node.gate.drain { continuation.resume() }
      }
    }
  }

  /// Does `work` on a lane of its own while `nodes` have no request on its way: requests that wait
  /// may hold every lane of the device.
  private func drained(
    _ nodes: [BlockNode], _ work: @escaping @Sendable () throws(BlockError) -> Void
  ) async -> Result<Void, BlockError> {
    await drain(nodes)
    defer { nodes.forEach { $0.gate.resume() } }
    return await Lane(label: "qblockd.edit").perform(work)
  }
}
