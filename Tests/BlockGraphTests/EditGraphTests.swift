import BlockCore
import BlockGraph
import BlockRuntime
import ImageFormats
import TestSupport
import Testing

@Suite @ControlPlane struct EditGraphTests {
  private func error(_ body: () async throws(BlockError) -> Void) async -> BlockError? {
    do throws(BlockError) {
      try await body()
      return nil
    } catch {
      return error
    }
  }

  @Test("a base becomes writable, locks included, only when a client has named its file")
  func reopens() async throws {
    let fixture = try GraphFixture()
    let chain = try await fixture.openChain()
    let (graph, top) = (fixture.graph, chain.top)
    let mid = chain.nodes[1]
    let refused = await error { () async throws(BlockError) in
      try await graph.reopen(mid, readOnly: false)
    }
    #expect(refused?.code == .permission)
    #expect(graph.find(fileName: "mid", in: chain) === mid)
    try await graph.reopen(mid, readOnly: false)
    #expect(!mid.isReadOnly)
    #expect(try !fixture.isFree("mid", readOnly: true))
    try [UInt8](repeating: 9, count: 512).withBytes { (span) throws(BlockError) in
      try BackingChain(Array(chain.nodes[1...])).write(span, at: 0)
    }
    try await graph.reopen(mid, readOnly: true)
    #expect(mid.isReadOnly)
    #expect(try fixture.isFree("mid", readOnly: true))
    #expect(try fixture.guest(top).prefix(512).allSatisfy { $0 == 9 })
    #expect(try fixture.guest(top) == fixture.converted("top"))
  }

  @Test("a base that another process reads does not become writable, and stays readable")
  func lockedBase() async throws {
    let fixture = try GraphFixture()
    let graph = fixture.graph
    let top = try await fixture.openChain().top
    let mid = graph.chain(from: top).nodes[1]
    graph.noteNamed(mid)
    let holder = try ImageHolder("-r", "-f", "qcow2", fixture.path("mid"))
    let refused = await error { () async throws(BlockError) in
      try await graph.reopen(mid, readOnly: false)
    }
    #expect(refused?.code == .locked)
    #expect(mid.isReadOnly)
    holder.release()
    try await graph.reopen(mid, readOnly: false)
  }

  @Test("with image roots a base may become writable without being named")
  func reopensInRoot() async throws {
    let directory = try TemporaryDirectory()
    let fixture = try GraphFixture(roots: [directory.path])
    try fixture.makeChain()
    for name in ["top", "mid", "base"] {
      try directory.write(fixture.directory.read(name), to: name)
    }
    let file = NodeSpecification(.file(FileSpecification(.file, directory.file("top"))))
    let top = try await fixture.graph.add(
      NodeSpecification(
        name: "top", .format(FormatSpecification(.qcow2, file: .inline(file)))))
    let mid = fixture.graph.chain(from: top).nodes[1]
    try await fixture.graph.reopen(mid, readOnly: false)
    #expect(!mid.isReadOnly)
    #expect(await fixture.refusal(fixture.image("out", "top"))?.code == .permission)
  }

  @Test("dropping the nodes between rewrites the header, closes them, and changes no byte")
  func dropsIntermediates() async throws {
    let fixture = try GraphFixture()
    try fixture.makeChain()
    try fixture.create("user", backing: "top")
    let graph = fixture.graph
    let user = try await graph.add(fixture.image("user", "user"))
    let chain = graph.chain(from: user).nodes
    graph.noteNamed(chain[1])
    let before = try fixture.guest(user)
    // `top` alone is not what it was, but what it shows of `base` is.
    try await graph.dropIntermediates(
      under: chain[1], to: chain[3], writing: BackingLink(name: "base", format: "raw"))
    #expect(graph.chain(from: user).nodes.map(\.name) == [0, 1, 3].map { chain[$0].name })
    #expect(graph.node(named: chain[2].name) == nil)
    #expect(chain[1].isReadOnly)
    #expect(graph.backingName(of: chain[1]) == "base")
    #expect(try fixture.guest(user) == fixture.converted("user"))
    #expect(try fixture.guest(user) != before)
    #expect(try fixture.isFree("mid"))
    let info = try QemuTools.img("info", "-U", fixture.path("top")).output
    #expect(info.contains("backing file: base ") && info.contains("backing file format: raw"))
  }

  @Test("a link that the header cannot take leaves graph and file as they were")
  func failedDrop() async throws {
    let fixture = try GraphFixture()
    let chain = try await fixture.openChain().nodes
    let (graph, top) = (fixture.graph, chain[0])
    let long = BackingLink(name: String(repeating: "x", count: 1024), format: "raw")
    let refused = await error { () async throws(BlockError) in
      try await graph.dropIntermediates(under: top, to: chain[2], writing: long)
    }
    #expect(refused != nil)
    #expect(graph.chain(from: top).nodes.map(\.name) == chain.map(\.name))
    #expect(graph.backingName(of: top) == "mid")
    #expect(try fixture.guest(top) == fixture.converted("top"))
  }

  @Test("users of a node move to another one")
  func replaces() async throws {
    let fixture = try GraphFixture()
    let chain = try await fixture.openChain().nodes
    let (graph, top) = (fixture.graph, chain[0])
    await graph.replace(chain[1], with: chain[2])
    #expect(graph.chain(from: top).nodes.map(\.name) == [top.name, chain[2].name])
  }

  @Test("a file name means a layer by the name it was opened by, its stored name, or its path")
  func finds() async throws {
    let fixture = try GraphFixture()
    let chain = try await fixture.openChain()
    let (graph, top) = (fixture.graph, chain.top)
    for name in ["base", "./base", fixture.path("base"), fixture.path("x/..//base")] {
      #expect(graph.find(fileName: name, in: chain) === chain.nodes[2])
    }
    #expect(graph.find(fileName: fixture.path("top"), in: chain) === top)
    for name in ["bas", "../base", "/base", ""] {
      #expect(graph.find(fileName: name, in: chain) == nil)
    }
  }

  @Test("the facts are those of qemu-img info")
  func facts() async throws {
    let fixture = try GraphFixture()
    let top = try await fixture.openChain().top
    let facts = try await fixture.graph.facts(of: top)
    #expect(facts.map(\.fileName) == ["top", "mid", "base"].map(fixture.path))
    #expect(facts.map(\.backingFileName) == [fixture.path("mid"), fixture.path("base"), nil])
    let alone = try await fixture.graph.facts(of: top, alone: true)
    #expect(alone.map(\.backingFileName) == [fixture.path("mid")])
    #expect(facts.map(\.isReadOnly) == [false, true, true])
    #expect(facts[0].image.backing == BackingLink(name: "mid", format: "qcow2"))
    for (fact, name) in zip(facts, ["top", "mid", "base"]) {
      let info = try QemuTools.img("info", "-U", "--output=json", fixture.path(name)).output
      #expect(info.contains("\"virtual-size\": \(fact.virtualSize),"))
      #expect(info.contains("\"actual-size\": \(try #require(fact.actualSize)),"))
      if let cluster = fact.image.clusterSize {
        #expect(info.contains("\"cluster-size\": \(cluster),"))
      }
    }
  }
}
