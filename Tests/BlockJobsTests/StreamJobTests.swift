import BlockCore
import BlockGraph
import BlockIO
import BlockRuntime
import ImageFormats
import TestSupport
import Testing

@testable import BlockJobs

@Suite("A stream")
@ControlPlane
struct StreamJobTests {
  private let stage: JobStage

  init() throws { stage = try JobStage() }

  private func bytes(_ count: Int, _ value: UInt8) -> [UInt8] {
    [UInt8](repeating: value, count: count)
  }

  /// Streams into `top` down to `base`, or all of it; returns how that ended.
  private func stream(
    _ top: BlockNode, downTo base: BlockNode?, _ adjust: (inout JobOptions) -> Void = { _ in }
  ) async throws -> JobSnapshot {
    await stage.end(of: try start(top, downTo: base, adjust))
  }

  private func start(
    _ top: BlockNode, downTo base: BlockNode?, _ adjust: (inout JobOptions) -> Void = { _ in }
  ) throws -> Job {
    let chain = stage.graph.chain(from: top)
    let index = chain.nodes.firstIndex { $0 === base } ?? chain.nodes.count
    return try stage.start(
      StreamJob(
        StreamJob.Request(chain: chain, base: index), id: "j0", graph: stage.graph), adjust)
  }

  @Test("copies what lies between, and leaves the base where it is")
  func downToBase() async throws {
    let base = try stage.qcow2("base", size: 1 << 20)
    let middle = try stage.qcow2("middle", size: 1 << 20, over: base)
    let top = try stage.qcow2("top", size: 1 << 20, over: middle)
    try stage.write(bytes(1 << 20, 1), to: base, at: 0)
    try stage.write(bytes(200_000, 2), to: middle, at: 100_000)
    try stage.write(bytes(50_000, 3), to: top, at: 150_000)
    let before = try stage.view(top)
    let end = try await stream(top, downTo: base)
    #expect(end.error == nil)
    #expect(
      stage.log == [
        "created", "running", "waiting", "pending", "COMPLETED", "concluded", "null",
      ])
    #expect(stage.graph.chain(from: top).nodes.map(\.name) == ["top", "base"])
    #expect(stage.graph.node(named: "middle") == nil)
    #expect(top.image.backingLink == BackingLink(name: "/base", format: "qcow2"))
    #expect(try stage.view(top) == before)
    // Of the base nothing has come up: as far as the middle and the top reach, in whole clusters.
    #expect(end.result.bytesCopied <= 4 * 65_536)
    #expect(try top.mappings(in: ByteRange(at: 1 << 19, length: 1 << 19), limit: 2).count == 1)
  }

  @Test("of all leaves no backing file")
  func all() async throws {
    let base = try stage.raw("base", size: 300_032)
    let top = try stage.qcow2("top", size: 1 << 20, over: base)
    try stage.write(bytes(300_032, 1), to: base, at: 0)
    try stage.write(bytes(50_000, 3), to: top, at: 290_000)
    let before = try stage.view(top)
    #expect(try await stream(top, downTo: nil).error == nil)
    #expect(top.image.backingLink == nil)
    #expect(stage.graph.backing(of: top) == nil)
    #expect(try stage.view(top) == before)
  }

  @Test(
    "zeros of a layer between hide the base afterwards, too", arguments: [2, 3],
    NodeOptions.DetectZeroes.allCases)
  func zeros(version: Int, detectZeroes: NodeOptions.DetectZeroes) async throws {
    let base = try stage.qcow2("base", size: 1 << 20)
    let middle = try stage.qcow2("middle", size: 500_224, over: base)
    let top = try stage.qcow2(
      "top", size: 1 << 20, version: version, over: middle, detectZeroes: detectZeroes)
    try stage.write(bytes(1 << 20, 1), to: base, at: 0)
    try stage.graph.chain(from: middle).writeZeroes(
      ByteRange(at: 100_000, length: 200_000), deallocate: true)
    let before = try stage.view(top)
    #expect(before[200_000] == 0 && before[600_000] == 0 && before[0] == 1)
    #expect(try await stream(top, downTo: base).error == nil)
    #expect(try stage.view(top) == before)
  }

  @Test("in chains of random shape", arguments: 0..<60)
  func random(seed: UInt64) async throws {
    var generator = SeededGenerator(seed: seed)
    let nodes = try stage.randomChain(&generator)
    let top = Int.random(in: 1..<nodes.count, using: &generator)
    let base = Int.random(in: -1..<top, using: &generator)
    let views = try nodes.map { try stage.view($0) }
    #expect(try await stream(nodes[top], downTo: base < 0 ? nil : nodes[base]).error == nil)
    #expect(stage.graph.backing(of: nodes[top]) === (base < 0 ? nil : nodes[base]))
    for (node, view) in zip(nodes, views) where stage.graph.node(named: node.name) === node {
      #expect(try stage.view(node) == view, "\(node.name)")
    }
    try stage.checkSound(nodes[top])
  }

  @Test("of what has nothing under it, or nothing between it and the base, copies nothing")
  func nothing() async throws {
    let base = try stage.qcow2("base", size: 1 << 20)
    let top = try stage.qcow2("top", size: 1 << 20, over: base)
    try stage.write(bytes(1 << 20, 1), to: base, at: 0)
    let before = try stage.view(top)
    #expect(try await stream(base, downTo: nil).result.bytesCopied == 0)
    let end = try await stream(top, downTo: base)
    #expect(end.error == nil && end.result.bytesCopied == 0)
    #expect(stage.graph.backing(of: top) === base)
    #expect(try stage.view(top) == before)
  }

  @Test("lets nobody write to the node, and no other job use the layers above the base")
  func claims() async throws {
    let base = try stage.qcow2("base", size: 1 << 20)
    let middle = try stage.qcow2("middle", size: 1 << 20, over: base)
    let top = try stage.qcow2("top", size: 1 << 20, over: middle)
    try stage.write(bytes(1 << 20, 1), to: middle, at: 0)
    let job = try start(top, downTo: base) { $0.speed = 1 }
    for node in [top, middle] {
      #expect(throws: BlockError.self) {
        try StreamJob(
          StreamJob.Request(chain: stage.graph.chain(from: node), base: 1), id: "j1",
          graph: stage.graph)
      }
    }
    #expect(throws: BlockError.self) {
      try WriteJob(
        stage.graph.chain(from: top), ByteRange(at: 0, length: 512), from: .zeroes, id: "j1",
        graph: stage.graph)
    }
    try job.cancel(force: true)
    #expect(await stage.end(of: job).isCancelled)
    #expect(stage.graph.chain(from: top).nodes.count == 3)
    #expect(try await stream(top, downTo: base).error == nil)
  }

  @Test("is durable before the header leaves the layers, and the header before the event")
  func order() async throws {
    let log = StorageLog()
    let base = try stage.qcow2("base", size: 1 << 20)
    let middle = try stage.qcow2("middle", size: 1 << 20, over: base)
    let top = try stage.qcow2(
      "top", size: 1 << 20, over: middle,
      on: RecordingStorage(MemoryStorage(name: "top"), log: log))
    try stage.write(bytes(1 << 20, 1), to: middle, at: 0)
    let start = log.entries.count
    let job = try self.start(top, downTo: base)
    await stage.wait(for: job) { job in
      if job.machine.isConcluded { log.append(.note("concluded")) }
      return job.machine.isConcluded
    }
    let entries = log.entries[start...]
    let header = try #require(
      entries.lastIndex { $0.writes { $0 == 0 } })
    let lastData = try #require(
      entries[..<header].lastIndex { $0.writes { $0 > 0 } })
    let event = try #require(entries.firstIndex { $0.storage.isEmpty })
    #expect(entries[lastData..<header].contains { $0.event == .flushed })
    #expect(entries[header..<event].contains { $0.event == .flushed })
  }
}

extension StorageLog.Entry {
  /// Whether it is a write at an offset of which `holds` is true.
  fileprivate func writes(_ holds: (Int) -> Bool) -> Bool {
    if case .write(let offset, _) = event { holds(offset) } else { false }
  }
}
