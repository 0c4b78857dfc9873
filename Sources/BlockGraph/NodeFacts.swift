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
  /// The path of the backing file, resolved; nil without one.
  package var backingFileName: String?
  /// How many images lie under it.
  package var backingDepth: Int
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
  /// The facts of `node` at this moment, and of every image under it, the top first. Throws
  /// `notFound` where a node is closed meanwhile, and what reading the image's header throws.
  package func facts(of node: BlockNode) async throws(BlockError) -> [NodeFacts] {
    let chain = chain(from: node).nodes
    var facts: [NodeFacts] = []
    for (depth, layer) in chain.enumerated() {
      guard let entry = entries[layer.name] else { throw BlockGraph.unknown(layer.name) }
      let below = depth + 1 < chain.count ? chain[depth + 1].fileName : nil
      let stored = entry.backingName.map { OpenGate.join($0, to: layer.fileName) }
      let seen = try await lanes.perform(on: layer.device) {
        () throws(BlockError) -> BlockNode.Look in
        try layer.look()
      }.get()
      facts.append(
        NodeFacts(
          name: layer.name, driver: layer.driverName, fileName: layer.fileName,
          isReadOnly: seen.isReadOnly, backingFileName: below ?? stored,
          backingDepth: chain.count - depth - 1, settings: entry.settings,
          options: layer.options, virtualSize: seen.image.virtualSize, fileSize: seen.fileSize,
          actualSize: seen.actualSize, image: seen.image))
    }
    return facts
  }
}

extension BlockNode {
  /// What only the image and its file know.
  fileprivate struct Look: Sendable {
    var image: ImageInfo
    var isReadOnly: Bool
    var fileSize: Int
    var actualSize: Int?
  }

  /// Asks the image and its file. Lane.
  fileprivate func look() throws(BlockError) -> Look {
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
