import BlockCore
import BlockGraph
import BlockIO
import BlockRuntime
import ImageFormats
import Testing

@testable import BlockJobs

@Suite("Layers under those that a job works on")
@ControlPlane
struct JobsBeneathTests {
  /// A chain of six, the lowest first, each with bytes of its own.
  private func chain(_ stage: JobStage) throws -> [BlockNode] {
    var nodes: [BlockNode] = []
    for index in 0..<6 {
      let node = try stage.qcow2("n\(index)", size: 1 << 20, over: nodes.last)
      let bytes = [UInt8](repeating: UInt8(index + 1), count: 100_000)
      try stage.write(bytes, to: node, at: index * 150_000)
      nodes.append(node)
    }
    return nodes
  }

  private func start(
    _ kind: String, _ stage: JobStage, from top: BlockNode, to base: BlockNode, id: String
  ) throws -> Job {
    if kind == "commit" {
      return try stage.commit(top, into: base, id: id) { _, options in
        options.autoComplete = true
      }
    }
    let chain = stage.graph.chain(from: top)
    let place = try #require(chain.nodes.firstIndex { $0 === base })
    return try stage.registry.start(JobOptions(id: id)) { () throws(BlockError) in
      try StreamJob(.init(chain: chain, base: place), id: id, graph: stage.graph)
    }
  }

  private func startAbove(_ kind: String, _ stage: JobStage, _ nodes: [BlockNode]) throws -> Job {
    try start(kind, stage, from: nodes[5], to: nodes[3], id: "above")
  }

  /// Each kind takes `nodes[1]` out of the chain.
  private func startBelow(_ kind: String, _ stage: JobStage, _ nodes: [BlockNode]) throws -> Job {
    try start(kind, stage, from: nodes[kind == "commit" ? 1 : 2], to: nodes[0], id: "below")
  }

  @Test(
    "no other job changes them, or takes them out; the one that came first goes on",
    arguments: ["commit", "stream"], ["commit", "stream"])
  func both(upper: String, lower: String) async throws {
    for upperIsFirst in [true, false] {
      let stage = try JobStage()
      let nodes = try chain(stage)
      let seen = try stage.view(nodes[5])
      let first =
        try upperIsFirst ? startAbove(upper, stage, nodes) : startBelow(lower, stage, nodes)
      let error = #expect(throws: BlockError.self) {
        try upperIsFirst ? startBelow(lower, stage, nodes) : startAbove(upper, stage, nodes)
      }
      #expect(error?.code == .busy && error?.job == first.id)
      #expect(await stage.end(of: first).error == nil)
      let second =
        try upperIsFirst ? startBelow(lower, stage, nodes) : startAbove(upper, stage, nodes)
      #expect(await stage.end(of: second).error == nil)
      #expect(try stage.view(nodes[5]) == seen)
    }
  }

  @Test("jobs on other disks over the same layers are in nobody's way", arguments: [false, true])
  func siblings(isEmptied: Bool) async throws {
    let stage = try JobStage()
    let shared = try stage.qcow2("shared", size: 1 << 20)
    var tops: [BlockNode] = []
    for name in ["a", "b"] {
      let base = try stage.qcow2("\(name)1", size: 1 << 20, over: shared)
      tops.append(try stage.qcow2("\(name)2", size: 1 << 20, over: base))
    }
    let (top, over) = (tops[0], tops[1])
    let base = stage.graph.chain(from: top).nodes[1]
    let above = try stage.commit(top, into: base, id: "above") { request, options in
      request.emptiesTop = isEmptied
      options.autoComplete = true
    }
    // What the layer is there for is the node above, also when the job is over.
    let refusal = await #expect(throws: BlockError.self) {
      try await stage.graph.remove(named: "shared")
    }
    #expect(refusal?.message.contains("used as backing hd") == true)
    let range = ByteRange(at: 0, length: 1 << 16)
    let write = try stage.registry.start(JobOptions(id: "w")) { () throws(BlockError) in
      try WriteJob(
        stage.graph.chain(from: over), range, from: .pattern(9), id: "w", graph: stage.graph)
    }
    #expect(await stage.end(of: write).error == nil)
    let stream = try start("stream", stage, from: over, to: shared, id: "s")
    #expect(await stage.end(of: stream).error == nil)
    #expect(await stage.end(of: above).error == nil)
  }
}
