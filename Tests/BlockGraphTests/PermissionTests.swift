import BlockCore
import BlockGraph
import BlockIO
import BlockRuntime
import TestSupport
import Testing

@Suite @ControlPlane struct PermissionTests {
  private func refusal(
    _ graph: BlockGraph, _ node: BlockNode, _ permissions: NodePermissions,
    _ id: String = "k", besides: [BlockNode] = []
  ) -> String? {
    do throws(BlockError) {
      let user = NodeUser.job(id: id, type: "stream")
      graph.release(try graph.acquire(node, permissions, for: user, besides: besides))
      return nil
    } catch {
      return error.message
    }
  }

  @Test("a job that writes a node keeps other writers and readers out, and others say so")
  func jobs() async throws {
    let fixture = try GraphFixture()
    try fixture.create("a")
    let node = try await fixture.graph.add(fixture.image("a", "a"))
    let token = try fixture.graph.acquire(node, .writer, for: .job(id: "j", type: "commit"))
    let busy = "Node 'a' is busy: block device is in use by block job: commit"
    #expect(refusal(fixture.graph, node, .writer) == busy)
    #expect(throws: BlockError.self) { try fixture.graph.requireNoJob(on: node) }
    fixture.graph.release(token)
    #expect(refusal(fixture.graph, node, .writer) == nil)
  }

  @Test("a writer of a node under an overlay needs that overlay to be its own affair")
  func edges() async throws {
    let fixture = try GraphFixture()
    let chain = try await fixture.openChain().nodes
    let (mid, base) = (chain[1], chain[2])
    #expect(
      refusal(fixture.graph, base, .writer)
        == "Permission conflict on node '\(base.name)': permissions 'write, resize' are both "
        + "required by block job 'k' and unshared by node '\(mid.name)' "
        + "(uses node '\(base.name)' as 'backing' child).")
    #expect(refusal(fixture.graph, base, .reader) == nil)
    let other = try await fixture.graph.add(
      fixture.image("other", "mid", readOnly: true, backing: .node(.named(base.name))))
    #expect(refusal(fixture.graph, base, .writer, besides: [mid])?.contains("'other'") == true)
    #expect(refusal(fixture.graph, base, .nothing, besides: [mid, other]) == nil)
  }
}
