import BlockCore
import BlockGraph
import BlockRuntime
import ImageFormats
import TestSupport
import Testing

@Suite struct BlockNodeTests {
  private func scripted(
    size: Int = 8192, options: NodeOptions = NodeOptions()
  ) -> (BlockNode, ScriptedLayer) {
    let layer = ScriptedLayer(size: size, clusterSize: 1024, storage: MemoryStorage())
    let node = BlockNode(
      name: "n", driverName: "scripted", image: layer, fileName: "n.img", device: DeviceKey(0),
      options: options)
    return (node, layer)
  }

  private func write(_ byte: UInt8, _ range: ByteRange, to node: BlockNode) throws(BlockError) {
    try [UInt8](repeating: byte, count: range.length).withBytes { (span) throws(BlockError) in
      try node.write(span, at: range.lower, over: nil)
    }
  }

  @Test("every change marks the attached trackers and is counted; reads are not")
  func marksTrackers() throws {
    let (node, _) = scripted()
    let tracker = DirtyTracker(size: 8192, granularity: 512)
    node.attach(tracker)
    try write(5, ByteRange(at: 600, length: 10), to: node)
    #expect(tracker.takeRun(from: 0, limit: .max) == ByteRange(at: 512, length: 512))
    try node.writeZeroes(ByteRange(at: 2048, length: 1024), deallocate: true, over: nil)
    #expect(tracker.takeRun(from: 0, limit: .max) == ByteRange(at: 2048, length: 1024))
    #expect(node.writeGeneration == 2)
    _ = try guestBytes(BackingChain([node]), ByteRange(at: 0, length: 8192))
    try node.flush()
    #expect(node.writeGeneration == 2)
    node.detach(tracker)
    try write(5, ByteRange(at: 0, length: 1), to: node)
    #expect(tracker.dirtyBytes == 0)
  }

  @Test("a change is marked when its bytes are there, so a run taken before is dirty again")
  func marksAfterwards() throws {
    let (node, _) = scripted()
    let tracker = DirtyTracker(size: 8192, granularity: 1024)
    node.attach(tracker)
    try [UInt8](repeating: 1, count: 10).withBytes { (span) throws(BlockError) in
      try node.write(span, at: 0, over: TakingView(tracker: tracker))
    }
    #expect(tracker.takeRun(from: 0, limit: .max) == ByteRange(at: 0, length: 1024))
  }

  @Test("a write to a read-only node is refused and marks nothing")
  func readOnly() throws {
    let (node, layer) = scripted()
    try layer.reopen(readOnly: true)
    let tracker = DirtyTracker(size: 8192, granularity: 512)
    node.attach(tracker)
    let error = #expect(throws: BlockError.self) {
      try write(1, ByteRange(at: 0, length: 1), to: node)
    }
    #expect(error?.code == .readOnly)
    #expect(tracker.dirtyBytes == 0 && node.writeGeneration == 0)
    try node.flush()
    #expect(layer.flushes == 0)
  }

  @Test("a request that ends past the disk is refused before it reaches the image")
  func range() throws {
    let (node, _) = scripted(size: 1024)
    let error = #expect(throws: BlockError.self) {
      try write(1, ByteRange(at: 1000, length: 25), to: node)
    }
    #expect(error?.code == .outOfRange && error?.guestOffset == 1000 && error?.offset == nil)
    #expect(throws: BlockError.self) { try node.check(Int.max, 1) }
    #expect(throws: BlockError.self) { try node.check(-1, 1) }
    try node.check(1024, 0)
  }

  @Test("zero bytes become a zero range only where detect-zeroes asks for it")
  func detectsZeroes() throws {
    for (setting, isZero) in [(NodeOptions.DetectZeroes.off, false), (.on, true)] {
      let (node, _) = scripted(options: NodeOptions(detectZeroes: setting))
      try write(0, ByteRange(at: 0, length: 1024), to: node)
      let found = try node.mappings(in: ByteRange(at: 0, length: 1024), limit: 1)
      #expect((found[0].content == .zero(reservedAt: nil)) == isZero)
    }
  }

  @Test("zeros give space back only where the node says unmap")
  func unmaps() throws {
    for setting in [NodeOptions.Discard.ignore, .unmap] {
      let (node, layer) = scripted(options: NodeOptions(discard: setting))
      try node.writeZeroes(ByteRange(at: 0, length: 1024), deallocate: true, over: nil)
      #expect(layer.hasDeallocated == (setting == .unmap))
    }
  }

  @Test("what passes through is counted")
  func counters() throws {
    let (node, _) = scripted()
    try write(1, ByteRange(at: 0, length: 700), to: node)
    try node.writeZeroes(ByteRange(at: 1024, length: 1024), deallocate: false, over: nil)
    _ = try guestBytes(BackingChain([node]), ByteRange(at: 0, length: 100))
    try node.flush()
    let counted = node.counters.snapshot
    #expect(counted.reads.done == 1 && counted.reads.bytes == 100)
    #expect(counted.writes.done == 1 && counted.writes.bytes == 700)
    #expect(counted.zeroes.done == 1 && counted.zeroes.bytes == 1024)
    #expect(counted.flushes.done == 1 && counted.flushes.bytes == 0)
    #expect(counted.highestWrite == 2048)
  }

  @Test("emptying goes step by step and counts as a change of everything")
  func makesEmpty() throws {
    let (node, _) = scripted(size: 3072)
    try write(1, ByteRange(at: 0, length: 3072), to: node)
    let tracker = DirtyTracker(size: 3072, granularity: 1024)
    node.attach(tracker)
    let operation = try node.makeEmpty(.auto)
    var steps = 1
    while try !operation.step() { steps += 1 }
    #expect(steps == 3 && operation.progress == (3, 3))
    #expect(tracker.dirtyBytes == 3072)
    #expect(
      try node.mappings(in: ByteRange(at: 0, length: 3072), limit: 9).map(\.content)
        == [.unallocated])
  }
}

/// Zeros; whoever reads them, in the middle of a write, finds that somebody has taken all runs.
///
/// Isolation: value.
private struct TakingView: BackingView {
  let tracker: DirtyTracker

  func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) {
    while tracker.takeRun(from: 0, limit: .max) != nil {}
    bytes.zero()
  }

  func readsZero(_ range: ByteRange) throws(BlockError) -> Bool { true }
}
