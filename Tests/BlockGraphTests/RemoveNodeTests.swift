import BlockCore
import BlockGraph
import BlockIO
import BlockRuntime
import TestSupport
import Testing

@Suite @ControlPlane struct RemoveNodeTests {
  private func refusal(_ graph: BlockGraph, _ name: String) async -> String? {
    do throws(BlockError) {
      try await graph.remove(named: name)
      return nil
    } catch {
      return error.message
    }
  }

  @Test("what is in use, or came with another node, is not removed")
  func refusals() async throws {
    let fixture = try GraphFixture()
    try fixture.makeChain()
    let graph = fixture.graph
    _ = try await graph.add(fixture.image("base", "base", readOnly: true, .raw))
    let mid = try await graph.add(
      fixture.image("mid", "mid", readOnly: true, backing: .node(.named("base"))))
    #expect(await refusal(graph, "nope") == "Failed to find node with node-name='nope'")
    #expect(
      await refusal(graph, "base") == "Node 'base' is busy: node is used as backing hd of 'mid'")
    let file = try #require(mid.file?.name)
    #expect(await refusal(graph, file) == "Node '\(file)' is busy: node is used as file of 'mid'")
    let token = try graph.acquire(mid, .reader, for: .job(id: "j0", type: "commit"))
    #expect(
      await refusal(graph, "mid")
        == "Node 'mid' is busy: block device is in use by block job: commit")
    graph.release(token)
    #expect(await refusal(graph, "mid") == nil)
    #expect(graph.allNodes.map(\.name).contains("base"))
    #expect(await refusal(graph, "base") == nil)
    #expect(graph.allNodes.isEmpty)
  }

  @Test("a node that came with another one is its parent's to remove, also when the edge is gone")
  func notOwned() async throws {
    let fixture = try GraphFixture()
    let top = try await fixture.openChain().top
    let mid = try #require(fixture.graph.backing(of: top))
    fixture.graph.setBacking(of: top, to: nil)
    #expect(
      await refusal(fixture.graph, mid.name) == "Node \(mid.name) is not owned by the monitor")
    await fixture.graph.closeNodes([mid.name])
    #expect(fixture.graph.allNodes.map(\.name).count == 2)
  }

  @Test("a job's nodes close together in any order, except those that somebody uses")
  func closesNodes() async throws {
    let fixture = try GraphFixture()
    try fixture.makeChain()
    let graph = fixture.graph
    let base = try await graph.add(fixture.image("base", "base", readOnly: true, .raw))
    _ = try await graph.add(
      fixture.image("mid", "mid", readOnly: true, backing: .node(.named("base"))))
    let token = try graph.acquire(base, .reader, for: .job(id: "j", type: "commit"))
    await graph.closeNodes(["base", "mid", "gone"])
    #expect(graph.allNodes.map(\.name).contains("base"))
    #expect(!graph.allNodes.map(\.name).contains("mid"))
    graph.release(token)
    await graph.closeNodes(["base"])
    #expect(graph.allNodes.isEmpty)
  }

  @Test("at the end everything closes, parents first, and the files are free")
  func closesAll() async throws {
    let fixture = try GraphFixture()
    _ = try await fixture.openChain()
    #expect(await fixture.graph.closeAll() == [])
    #expect(fixture.graph.allNodes.isEmpty)
    #expect(try fixture.isFree("top") && fixture.isFree("mid"))
  }

  @Test("a request to a node that was removed fails, it does not end the program")
  func late() async throws {
    let fixture = try GraphFixture()
    try fixture.create("a")
    let node = try await fixture.graph.add(fixture.image("n", "a"))
    try await fixture.graph.remove(named: "n")
    let error = #expect(throws: BlockError.self) {
      _ = try guestBytes(BackingChain([node]), ByteRange(at: 0, length: 1))
    }
    #expect(error?.code == .notFound)
  }
}
