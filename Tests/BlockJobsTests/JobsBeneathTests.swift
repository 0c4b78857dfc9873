import BlockCore
import BlockGraph
import BlockRuntime
import ImageFormats
import Testing

@testable import BlockJobs

@Suite("A job that takes layers out from under another one")
@ControlPlane
struct JobsBeneathTests {
  private static let size = 1 << 20

  /// A chain of six, the lowest first, each with bytes of its own.
  private func chain(_ stage: JobStage) throws -> [BlockNode] {
    var nodes: [BlockNode] = []
    for index in 0..<6 {
      let node = try stage.qcow2("n\(index)", size: JobsBeneathTests.size, over: nodes.last)
      let bytes = [UInt8](repeating: UInt8(index + 1), count: 100_000)
      try stage.write(bytes, to: node, at: index * 150_000)
      nodes.append(node)
    }
    return nodes
  }

  private func stream(
    _ stage: JobStage, _ top: BlockNode, downTo base: Int, id: String
  ) throws -> Job {
    let request = StreamJob.Request(chain: stage.graph.chain(from: top), base: base)
    return try stage.registry.start(JobOptions(id: id)) { () throws(BlockError) in
      try StreamJob(request, id: id, graph: stage.graph)
    }
  }

  @Test(
    "both end well, and what has left the chain is closed after both",
    arguments: ["commit", "stream"], ["commit", "stream"])
  func both(upper: String, lower: String) async throws {
    let stage = try JobStage()
    let nodes = try chain(stage)
    let (top, middle) = (try stage.view(nodes[5]), try stage.view(nodes[2]))
    let above =
      upper == "commit"
      ? try stage.commit(nodes[5], into: nodes[3], id: "above") { $1.autoComplete = true }
      : try stream(stage, nodes[5], downTo: 2, id: "above")
    try above.pause()
    while above.machine.status != .paused { await Task.yield() }
    let below =
      lower == "commit"
      ? try stage.commit(nodes[1], into: nodes[0], id: "below")
      : try stream(stage, nodes[2], downTo: 2, id: "below")
    #expect(await stage.end(of: below).error == nil)
    #expect(try stage.view(nodes[2]) == middle)
    try above.resume()
    #expect(await stage.end(of: above).error == nil)
    #expect(try stage.view(nodes[5]) == top)
    #expect(stage.graph.node(named: "n1") == nil)
    #expect(stage.graph.node(named: "n0") === nodes[0])
  }

  @Test("a commit that empties its top keeps the layers that the top will show through")
  func emptying() async throws {
    let stage = try JobStage()
    let nodes = try chain(stage)
    let above = try stage.commit(nodes[5], into: nodes[4], id: "above") { request, _ in
      request.emptiesTop = true
    }
    let error = #expect(throws: BlockError.self) {
      try stage.commit(nodes[1], into: nodes[0], id: "below")
    }
    #expect(error?.code == .busy && error?.job == "above")
    try above.cancel(force: true)
    await stage.end(of: above)
  }
}
