import BlockCore
import BlockGraph
import BlockIO
import BlockRuntime
import TestSupport
import Testing

@Suite @ControlPlane struct EditQueueTests {
  private func reopens(_ graph: BlockGraph, _ node: BlockNode, readOnly: Bool) async -> Bool {
    do throws(BlockError) {
      try await graph.reopen(node, readOnly: readOnly)
      return true
    } catch {
      return false
    }
  }

  @Test("changes of the graph that arrive together are made one after the other, and all of them")
  func oneByOne() async throws {
    let fixture = try GraphFixture()
    let chain = try await fixture.openChain()
    let (graph, top) = (fixture.graph, chain.top)
    let (mid, base) = (chain.nodes[1], chain.nodes[2])
    graph.noteNamed(mid)
    graph.noteNamed(base)
    for _ in 0..<10 {
      async let one = reopens(graph, mid, readOnly: false)
      async let two = reopens(graph, base, readOnly: false)
      async let three = reopens(graph, mid, readOnly: true)
      async let four = reopens(graph, base, readOnly: true)
      #expect(await [one, two, three, four] == [true, true, true, true])
    }
    for node in [mid, base] {
      try await graph.reopen(node, readOnly: true)
      #expect(node.isReadOnly)
    }
    #expect(try fixture.isFree("mid", readOnly: true))
    #expect(try fixture.guest(top) == fixture.converted("top"))
  }

  @Test("a change does not begin while an earlier one of the same chain is suspended")
  func waitsForTheEarlier() async throws {
    let fixture = try GraphFixture()
    try fixture.makeChain()
    try fixture.create("other")
    let graph = fixture.graph
    _ = try await graph.add(fixture.image("base", "base", readOnly: true, .raw))
    let mid = try await graph.add(
      fixture.image("mid", "mid", readOnly: true, backing: .node(.named("base"))))
    _ = try await graph.add(fixture.image("other", "other"))
    // A request on its way keeps the first removal from ending.
    mid.gate.enter()
    async let one: Void = graph.remove(named: "mid")
    while graph.node(named: "mid") != nil { await Task.yield() }
    async let two: Void = graph.remove(named: "base")
    for _ in 0..<100 { await Task.yield() }
    #expect(graph.node(named: "base") != nil)
    // What hangs together with neither does not wait.
    try await graph.remove(named: "other")
    #expect(graph.node(named: "base") != nil)
    mid.gate.leave()
    _ = try await (one, two)
    #expect(graph.allNodes.isEmpty)
  }

  @Test("what a job's nodes are refused is refused at once, though a change of them is suspended")
  func refusedAtOnce() async throws {
    let fixture = try GraphFixture()
    try fixture.makeChain()
    let graph = fixture.graph
    _ = try await graph.add(fixture.image("base", "base", readOnly: true, .raw))
    let described = fixture.image("mid", "mid", readOnly: true, backing: .node(.named("base")))
    let mid = try await graph.add(described)
    let token = try graph.acquire(mid, .reader, for: .job(id: "j0", type: "commit"))
    // A request on its way keeps a change from ending: the disk does not answer.
    mid.gate.enter()
    async let change = reopens(graph, mid, readOnly: false)
    for _ in 0..<100 { await Task.yield() }
    let refusals = Refusals()
    async let one: Void = refusals.note { () async throws(BlockError) in
      try await graph.remove(named: "mid")
    }
    async let two: Void = refusals.note { () async throws(BlockError) in
      try await graph.remove(named: "base")
    }
    async let three: Void = refusals.note { () async throws(BlockError) in
      try await graph.reopen([described])
    }
    for _ in 0..<100 { await Task.yield() }
    #expect(refusals.list.map(\.code) == [.busy, .busy, .busy], "\(refusals.list)")
    mid.gate.leave()
    _ = await (change, one, two, three)
    graph.release(token)
  }

  @Test("what is told of a chain is told anew where a part of it has been closed meanwhile")
  func presentChain() async throws {
    let fixture = try GraphFixture()
    let chain = try await fixture.openChain()
    let (graph, top) = (fixture.graph, chain.top)
    let (mid, base) = (chain.nodes[1], chain.nodes[2])
    for fails in [true, false] {
      var lengths: [Int] = []
      let told = try await graph.ofPresentChain(of: top) { (chain) async throws(BlockError) in
        lengths.append(chain.nodes.count)
        if lengths.count == 1 {
          graph.setBacking(of: top, to: fails ? base : nil)
          await graph.closeNodes(fails ? [mid.name] : [base.name])
          if fails { throw BlockError(.notFound, "closed") }
        }
        return chain.nodes.count
      }
      #expect(lengths == (fails ? [3, 2] : [2, 1]) && told == lengths[1])
    }
    // An error of a chain that is as it was is one.
    await #expect(throws: BlockError.self) {
      try await graph.ofPresentChain(of: top) { (_) async throws(BlockError) in
        throw BlockError(.io, "broken")
      }
    }
    try await graph.remove(named: "top")
    await #expect(throws: BlockError.self) { _ = try await graph.facts(of: top) }
  }

  @Test("a change waits for the requests on their way, and those that come meanwhile for it")
  func drains() async throws {
    let fixture = try GraphFixture()
    let graph = fixture.graph
    let top = try await fixture.openChain().top
    top.gate.drain {}
    let lane = Lane(label: "test")
    async let read = lane.perform { () throws(BlockError) in
      try guestBytes(BackingChain([top]), ByteRange(at: 128 << 10, length: 1))
    }
    async let removed: Void = graph.remove(named: "top")
    await Task.yield()
    top.gate.resume()
    _ = try await removed
    switch await read {
    case .success(let bytes): #expect(bytes == [7])
    case .failure(let error): #expect(error.code == .notFound)
    }
    #expect(graph.allNodes.isEmpty)
  }
}

/// The errors of what was asked, as they come.
@ControlPlane
private final class Refusals {
  private(set) var list: [BlockError] = []

  func note(_ call: @ControlPlane () async throws(BlockError) -> Void) async {
    do throws(BlockError) {
      try await call()
    } catch {
      list.append(error)
    }
  }
}
