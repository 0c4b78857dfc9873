import BlockCore
import BlockGraph
import BlockRuntime
import ImageFormats
import TestSupport
import Testing

extension JobStage {
  /// Two to four images over one another, the lowest first, of random shapes and with random bytes
  /// and zeros in them.
  func randomChain(_ generator: inout SeededGenerator) throws -> [BlockNode] {
    let clusters = [512, 4096, 65_536, 1 << 20]
    let settings = NodeOptions.DetectZeroes.allCases
    var nodes: [BlockNode] = []
    for layer in 0..<Int.random(in: 2...4, using: &generator) {
      let size = Int.random(in: 1...2000, using: &generator) * 512
      let node: BlockNode
      if layer == 0 && Bool.random(using: &generator) {
        node = try raw("n0", size: size)
      } else {
        node = try qcow2(
          "n\(layer)", size: size, version: Int.random(in: 2...3, using: &generator),
          clusterSize: clusters.randomElement(using: &generator) ?? 512, over: nodes.last,
          detectZeroes: settings.randomElement(using: &generator) ?? .off)
      }
      nodes.append(node)
      for _ in 0..<Int.random(in: 0...12, using: &generator) {
        let offset = Int.random(in: 0..<node.virtualSize, using: &generator)
        let length = Int.random(in: 1...90_000, using: &generator)
        let range = ByteRange(at: offset, length: min(length, node.virtualSize - offset))
        if Int.random(in: 0..<4, using: &generator) == 0 {
          try graph.chain(from: node).writeZeroes(range, deallocate: true)
        } else {
          try write(generator.bytes(range.length), to: node, at: offset)
        }
      }
    }
    return nodes
  }

  /// Opens the image's bytes again, and asks qemu-img whether they are sound.
  func checkSound(_ node: BlockNode) throws {
    guard node.image.format == "qcow2", let storage = node.image.dataStorage as? MemoryStorage
    else { return }
    let again = try Qcow2Image.open(on: storage, readOnly: true)
    #expect(again.virtualSize == node.virtualSize)
    let directory = try TemporaryDirectory()
    let path = try directory.write(storage.contents, to: "image.qcow2")
    let file = "{\"driver\":\"file\",\"filename\":\"\(path)\"}"
    let outcome = try QemuTools.img(
      "check", "json:{\"driver\":\"qcow2\",\"backing\":null,\"file\":\(file)}")
    #expect(outcome.status == 0, "\(outcome.output)")
  }
}
