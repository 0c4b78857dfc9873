package import BlockCore
import BlockIO
import BlockRuntime
package import ImageFormats

/// What clients are told about a node (`query-named-block-nodes`).
///
/// Isolation: value.
package struct NodeFacts: Sendable {
  package var name: String
  /// `qcow2`, `raw`, `file`, `host_device`.
  package var driver: String
  package var fileName: String
  package var isReadOnly: Bool
  /// The path of the node that lies under it; nil where none does.
  package var backingFileName: String?
  /// The path of the backing file that its header names, resolved; nil where it names none.
  package var storedBackingName: String?
  package var settings: AccessSettings
  package var options: NodeOptions
  /// The guest disk's length in bytes.
  package var virtualSize: Int
  /// The file's length in bytes.
  package var fileSize: Int
  /// Bytes that the file takes on its disk; nil where that cannot be told.
  package var actualSize: Int?
  package var image: ImageInfo
}

extension BlockGraph {
  /// The facts of `node` at this moment, and unless it is asked for `alone` of every image under
  /// it, the top first. Throws `notFound` where it is closed meanwhile.
  package func facts(
    of node: BlockNode, alone: Bool = false
  ) async throws(BlockError) -> [NodeFacts] {
    try await ofPresentChain(of: node) { (chain) async throws(BlockError) in
      var facts: [NodeFacts] = []
      for depth in 0..<(alone ? 1 : chain.nodes.count) {
        facts.append(try await self.facts(ofLayer: depth, in: chain))
      }
      return facts
    }
  }

  /// What `body` tells of the chain from `top` on. Where that has become another one meanwhile, a
  /// part of it may be closed, and what it told is of no moment: then it is asked anew.
  package func ofPresentChain<R>(
    of top: BlockNode, _ body: (BackingChain) async throws(BlockError) -> R
  ) async throws(BlockError) -> R {
    while true {
      guard entries[top.name]?.node === top else { throw BlockGraph.unknown(top.name) }
      let chain = chain(from: top)
      let answer: Result<R, BlockError>
      do throws(BlockError) {
        answer = .success(try await body(chain))
      } catch {
        answer = .failure(error)
      }
      if isPresent(chain) { return try answer.get() }
    }
  }

  private func isPresent(_ chain: BackingChain) -> Bool {
    entries[chain.top.name]?.node === chain.top
      && self.chain(from: chain.top).nodes.elementsEqual(chain.nodes, by: ===)
  }

  private func facts(
    ofLayer depth: Int, in chain: BackingChain
  ) async throws(BlockError) -> NodeFacts {
    let layer = chain.nodes[depth]
    guard let entry = entries[layer.name] else { throw BlockGraph.unknown(layer.name) }
    let below = depth + 1 < chain.nodes.count ? chain.nodes[depth + 1].fileName : nil
    let stored = entry.backingName.map { OpenGate.join($0, to: layer.fileName) }
    let seen = try await look(at: layer)
    return NodeFacts(
      name: layer.name, driver: layer.driverName, fileName: layer.fileName,
      isReadOnly: seen.isReadOnly, backingFileName: below, storedBackingName: stored,
      settings: entry.settings, options: layer.options, virtualSize: seen.image.virtualSize,
      fileSize: seen.fileSize, actualSize: seen.actualSize, image: seen.image)
  }

  /// How long a device may take to tell of a node; and when it seems not to answer, because
  /// something on it has taken so long.
  private static let patience = (usual: Duration.seconds(2), stillness: Duration.milliseconds(20))

  /// Asks every device once, all at the same time: those that do not answer are known then, and who
  /// asks for all nodes waits for them together.
  package func lookAtDevices() async {
    let nodes = Dictionary(allNodes.map { ($0.device, $0) }) { first, _ in first }
    await withTaskGroup(of: Void.self) { group in
      for node in nodes.values {
        group.addTask { _ = try? await self.look(at: node) }
      }
    }
  }

  /// What the node's image and file tell; where their device does not answer, or fails, what they
  /// told last, with what is known without them.
  private func look(at node: BlockNode) async throws(BlockError) -> BlockNode.Look {
    // Who asks again and again must not pile up what waits for the device.
    if !stillDevices.contains(node.device) {
      let answer = await lanes.perform(
        on: node.device, within: BlockGraph.patience.usual,
        stillness: BlockGraph.patience.stillness
      ) { () throws(BlockError) -> BlockNode.Look in
        try node.look()
      } late: { late in
        self.stillDevices.remove(node.device)
        self.update(node) { $0.lastLook = (try? late.get()) ?? $0.lastLook }
      }
      switch answer {
      case .success(let seen):
        update(node) { $0.lastLook = seen }
        return seen
      case .failure(let error):
        guard entries[node.name]?.node === node, entries[node.name]?.lastLook != nil else {
          throw error
        }
      case nil: stillDevices.insert(node.device)
      }
    }
    guard var last = entries[node.name]?.lastLook else {
      throw BlockError(
        .busy, "The disk of node '\(node.name)' does not answer", file: node.fileName)
    }
    last.image.virtualSize = node.virtualSize
    last.isReadOnly = node.isReadOnly
    return last
  }
}

extension BlockNode {
  /// Whether the node's disk is a window on a part of its file, so that the file's name alone would
  /// mean another disk.
  package var isPartOfFile: Bool { !((image as? RawImage)?.window.isWhole ?? true) }

  /// What only the image and its file know.
  struct Look: Sendable {
    var image: ImageInfo
    var isReadOnly: Bool
    var fileSize: Int
    var actualSize: Int?
  }

  /// Asks the image and its file. Lane.
  func look() throws(BlockError) -> Look {
    try withRange(ByteRange(at: 0, length: 0)) { (image) throws(BlockError) in
      // A file grows as the image in it does.
      if file == nil { try (image as? RawImage)?.readLength() }
      return Look(
        image: try image.info(), isReadOnly: image.isReadOnly || image.isDamaged,
        fileSize: try image.dataStorage.size(),
        actualSize: try bottomFile?.allocatedBytes())
    }
  }
}
