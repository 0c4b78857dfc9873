package import BlockCore
import BlockIO
import BlockRuntime

extension BlockGraph {
  /// Puts `overlay`, which has nothing under it, over `node`, which nothing lies over: in the graph
  /// only, headers stay as they are. `node` is read-only from then on, because what it holds is the
  /// disk at this moment.
  ///
  /// Throws `busy` where somebody uses one of them, `unsupported` and `invalidArgument` where they
  /// cannot lie over each other, and what `reopen` throws; then nothing has changed.
  package func snapshot(_ node: BlockNode, under overlay: BlockNode) async throws(BlockError) {
    try await edits.run {
      self.scope([node, overlay])
    } _: { () async throws(BlockError) in
      try checkSnapshot(of: node)
      try checkOverlay(overlay, over: node)
      try await reopenNow(node, readOnly: true)
      if node.file == nil {
        // A file that no format used held nobody off.
        try await lanes.perform(on: node.device) { () throws(BlockError) in
          try node.setAccess(.reader)
        }.get()
      }
      await drain([overlay])
      setBacking(of: overlay, to: node)
      overlay.gate.resume()
    }
  }

  /// Throws `busy` where a job or a node above uses `node`, and `notFound` where it is closed: what
  /// `snapshot` would throw, but before an overlay is made.
  package func checkSnapshot(of node: BlockNode) throws(BlockError) {
    guard entries[node.name]?.node === node else { throw BlockGraph.unknown(node.name) }
    try requireUnused(node)
  }

  private func checkOverlay(
    _ overlay: BlockNode, over node: BlockNode
  ) throws(BlockError) {
    guard !parents(of: overlay).contains(where: { $0.role == .file }) else {
      throw BlockError(.busy, "The overlay is already in use")
    }
    guard backing(of: overlay) == nil else {
      throw BlockError(.invalidArgument, "The overlay already has a backing image")
    }
    guard overlay.driverName == FormatSpecification.Format.qcow2.rawValue else {
      throw BlockError(.unsupported, "The overlay does not support backing images")
    }
    try checkSnapshot(of: overlay)
    try checkBacking(of: overlay, by: node)
  }

  /// Throws `invalidArgument` where `node` under `overlay` would be a loop, and `invalidImage`
  /// where the chain would become too long.
  func checkBacking(
    of overlay: BlockNode, by node: BlockNode
  ) throws(BlockError) {
    let below = chain(from: node).nodes
    guard !below.contains(where: { $0 === overlay }) else {
      throw BlockError(
        .invalidArgument,
        "Making '\(node.name)' a backing child of '\(overlay.name)' would create a cycle")
    }
    try checkDepth(under: overlay, below.count)
    try checkFiles(under: overlay, below) { overlays(of: $0) }
  }

  /// Throws `invalidImage` where one of `below`, which are to lie under `overlay`, is the file of
  /// the overlay itself or of a node over it: what is committed down to it would be written over
  /// the image that it comes from. `overlays` tells what lies over a node then.
  func checkFiles(
    under overlay: BlockNode, _ below: [BlockNode], overlays: (BlockNode) -> [BlockNode]
  ) throws(BlockError) {
    var above = [overlay]
    var files: Set<FileIdentity> = []
    while let node = above.popLast() {
      if let file = node.bottomFile { files.insert(file.identity) }
      above += overlays(node)
    }
    for node in below {
      guard let file = node.bottomFile, files.contains(file.identity) else { continue }
      throw NodeOpener.loop(node.fileName)
    }
  }

  /// Throws `invalidImage` where `count` nodes under `overlay` are too many.
  func checkDepth(under overlay: BlockNode, _ count: Int) throws(BlockError) {
    guard height(of: overlay) + count <= Limits.chainDepth else {
      throw BlockError(
        .invalidImage, "The backing chain would have more than \(Limits.chainDepth) images")
    }
  }

  /// How many nodes the longest chain has that ends with `node` at its bottom.
  private func height(of node: BlockNode) -> Int {
    1 + (overlays(of: node).map { height(of: $0) }.max() ?? 0)
  }
}
