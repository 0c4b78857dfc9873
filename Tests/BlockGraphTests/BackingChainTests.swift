import BlockCore
import BlockGraph
import BlockRuntime
import ImageFormats
import TestSupport
import Testing

/// A node over `layer`, named by its place in the chain.
func node(_ layer: any ImageDriver, _ name: String = "n") -> BlockNode {
  BlockNode(
    name: name, driverName: layer.format, image: layer, fileName: name, device: DeviceKey(0))
}

/// The guest's bytes of `range` as `chain` reads them.
func guestBytes(_ chain: BackingChain, _ range: ByteRange) throws(BlockError) -> [UInt8] {
  var bytes = [UInt8](repeating: 0xEE, count: range.length)
  try bytes.withMutableBytes { (span) throws(BlockError) in
    try chain.read(into: &span, at: range.lower)
  }
  return bytes
}

/// A chain of random layers, and what a guest must see through it.
private struct RandomChain {
  var chain: BackingChain
  /// For each byte of the disk: the layer that decides, and the byte; layer `count` for nobody.
  var expected: [(layer: Int, byte: UInt8)]

  init(using random: inout SeededGenerator) throws {
    let layers = Int.random(in: 1...5, using: &random)
    var nodes: [BlockNode] = []
    var below: [(layer: Int, byte: UInt8)] = []
    for index in (0..<layers).reversed() {
      let size = Int.random(in: 1...40, using: &random) * 512
      let clusterSize = 512 << Int.random(in: 0...3, using: &random)
      let layer = ScriptedLayer(
        size: size, clusterSize: clusterSize, storage: MemoryStorage(),
        runsPerLookup: Int.random(in: 1...4, using: &random))
      var seen: [(layer: Int, byte: UInt8)] = (0..<size).map { at in
        at < below.count ? below[at] : (layers, 0)
      }
      // What lies past the end of a shorter layer below belongs to that layer, as zeros.
      if index + 1 < layers {
        for at in min(below.count, size)..<size { seen[at] = (index + 1, 0) }
      }
      for cluster in 0..<size.dividedRoundingUp(by: clusterSize) {
        let bytes = (0..<clusterSize).map { _ in UInt8.random(in: 1...255, using: &random) }
        let kind = Int.random(in: 0..<6, using: &random)
        guard kind < 4 else { continue }
        let content: ScriptedLayer.Cluster =
          kind == 0 ? .zero : kind == 1 ? .compressed(0) : .data(0)
        try layer.script(cluster, content, kind == 0 ? [] : bytes)
        for at in 0..<clusterSize where cluster * clusterSize + at < size {
          seen[cluster * clusterSize + at] = (index, kind == 0 ? 0 : bytes[at])
        }
      }
      below = seen
      nodes.insert(node(layer, "layer\(index)"), at: 0)
    }
    expected = below
    chain = BackingChain(nodes)
  }
}

@Suite struct BackingChainTests {
  @Test("random chains read as a model of one byte after the other", arguments: 1...60)
  func readsAsModel(seed: Int) throws {
    var random = SeededGenerator(seed: UInt64(seed))
    let made = try RandomChain(using: &random)
    let size = made.chain.virtualSize
    for _ in 0..<20 {
      let at = Int.random(in: 0..<size, using: &random)
      let range = ByteRange(at: at, length: Int.random(in: 0...size - at, using: &random))
      let bytes = try guestBytes(made.chain, range)
      #expect(bytes == made.expected[range.lower..<range.upper].map(\.byte))
    }
  }

  @Test("the status of random chains names the layer that decides", arguments: 1...60)
  func statusAsModel(seed: Int) throws {
    var random = SeededGenerator(seed: UInt64(seed))
    let made = try RandomChain(using: &random)
    let layers = made.chain.nodes.count
    let base = Int.random(in: 1...layers, using: &random)
    var at = 0
    while at < made.chain.virtualSize {
      let limit = Int.random(in: 1...8, using: &random)
      let rest = ByteRange(from: at, to: made.chain.virtualSize)
      let runs = try made.chain.status(in: rest, above: base, limit: limit)
      #expect(!runs.isEmpty)
      for run in runs {
        #expect(run.range.lower == at)
        let expected = made.expected[run.range.lower..<run.range.upper]
        #expect(expected.allSatisfy { run.layer == min($0.layer, base) })
        #expect((run.layer == base) == (run.content == .unallocated))
        if case .zero = run.content { #expect(expected.allSatisfy { $0.byte == 0 }) }
        at = run.range.upper
      }
    }
  }

  @Test("host offsets in the status lead to the guest's bytes")
  func hostOffsets() throws {
    let memory = MemoryStorage()
    let layer = ScriptedLayer(size: 4096, clusterSize: 512, storage: memory)
    for cluster in [5, 2, 3] {
      try layer.script(cluster, .data(0), Array(repeating: UInt8(cluster), count: 512))
    }
    let chain = BackingChain([node(layer)])
    let runs = try chain.status(in: ByteRange(at: 1100, length: 2000), above: 1, limit: 100)
    #expect(
      runs == [
        ChainRun(range: ByteRange(from: 1100, to: 2048), layer: 0, content: .data(at: 588)),
        ChainRun(range: ByteRange(from: 2048, to: 2560), layer: 1, content: .unallocated),
        ChainRun(range: ByteRange(from: 2560, to: 3072), layer: 0, content: .data(at: 0)),
        ChainRun(range: ByteRange(from: 3072, to: 3100), layer: 1, content: .unallocated),
      ])
  }

  @Test("a layer that is shorter than its overlay hides what a longer base holds there")
  func shortMiddle() throws {
    let base = ScriptedLayer(size: 4096, clusterSize: 512, storage: MemoryStorage())
    for cluster in 0..<8 { try base.script(cluster, .data(0), Array(repeating: 7, count: 512)) }
    let middle = ScriptedLayer(size: 1536, clusterSize: 512, storage: MemoryStorage())
    let top = ScriptedLayer(size: 4096, clusterSize: 512, storage: MemoryStorage())
    let chain = BackingChain([node(top), node(middle), node(base)])
    let seen = try guestBytes(chain, ByteRange(at: 0, length: 4096))
    #expect(seen == Array(repeating: 7, count: 1536) + Array(repeating: 0, count: 2560))
    let runs = try chain.status(in: ByteRange(at: 0, length: 4096), above: 2, limit: 9)
    #expect(
      runs == [
        ChainRun(range: ByteRange(from: 0, to: 1536), layer: 2, content: .unallocated),
        ChainRun(
          range: ByteRange(from: 1536, to: 4096), layer: 1, content: .zero(reservedAt: nil)),
      ])
  }

  @Test("a partial write takes the rest of its cluster from the layers below")
  func writesOverTheChain() throws {
    let base = ScriptedLayer(size: 2048, clusterSize: 512, storage: MemoryStorage())
    try base.script(1, .data(0), Array(repeating: 3, count: 512))
    let top = ScriptedLayer(size: 2048, clusterSize: 1024, storage: MemoryStorage())
    let chain = BackingChain([node(top), node(base)])
    try [UInt8](repeating: 9, count: 100).withBytes { (span) throws(BlockError) in
      try chain.write(span, at: 1000)
    }
    let seen = try guestBytes(chain, ByteRange(at: 0, length: 2048))
    let middle = Array(repeating: UInt8(3), count: 488) + Array(repeating: 9, count: 100)
    #expect(seen == Array(repeating: 0, count: 512) + middle + Array(repeating: 0, count: 948))
  }

  @Test("a view knows from metadata alone where it reads zero")
  func zeroViews() throws {
    let base = ScriptedLayer(size: 2048, clusterSize: 512, storage: MemoryStorage())
    try base.script(0, .zero)
    try base.script(1, .data(0), Array(repeating: 0, count: 512))
    let top = ScriptedLayer(size: 8192, clusterSize: 512, storage: MemoryStorage())
    let chain = BackingChain([node(top), node(base)])
    let view = try #require(chain.view(from: 1))
    #expect(try view.readsZero(ByteRange(at: 0, length: 512)))
    #expect(try !view.readsZero(ByteRange(at: 0, length: 513)))
    #expect(try view.readsZero(ByteRange(at: 1024, length: 7168)))
    #expect(chain.view(from: 2) == nil)
  }

  @Test("requests past the disk's end are refused")
  func outOfRange() throws {
    let layer = ScriptedLayer(size: 1024, clusterSize: 512, storage: MemoryStorage())
    let chain = BackingChain([node(layer)])
    for (at, length) in [(1024, 1), (0, 1025), (1 << 62, 1)] {
      let error = #expect(throws: BlockError.self) {
        _ = try guestBytes(chain, ByteRange(at: at, length: length))
      }
      #expect(error?.code == .outOfRange)
    }
  }
}
