import BlockCore
import BlockRuntime
import Dispatch
import Glibc
import TestSupport
import Testing

@testable import BlockGraph

@Suite @ControlPlane struct AddNodeTests {
  @Test("a chain opens from its headers, reads as qemu-img reads it, and only its top may change")
  func opensChain() async throws {
    let fixture = try GraphFixture()
    let chain = try await fixture.openChain().nodes
    #expect(chain.map(\.driverName) == ["qcow2", "qcow2", "raw"])
    #expect(chain.map(\.fileName) == ["top", "mid", "base"].map(fixture.path))
    #expect(chain.map(\.isReadOnly) == [false, true, true])
    #expect(chain.dropFirst().allSatisfy { $0.name.hasPrefix("#block") })
    #expect(fixture.graph.allNodes.count == 6)
    #expect(fixture.graph.allNodes.last === chain[0])
    #expect(try fixture.guest(chain[0]) == fixture.converted("top"))
    #expect(fixture.graph.overlays(of: chain[2]).map(\.name) == [chain[1].name])
    try await fixture.graph.remove(named: "top")
    #expect(fixture.graph.allNodes.isEmpty)
  }

  @Test("openings on a disk that does not answer hold up no others")
  func stuckOpenings() async throws {
    let lanes = LanePool(lanes: 32, budget: 2)
    let fixture = try GraphFixture(lanes: lanes)
    try fixture.makeChain()
    let answer = DispatchSemaphore(value: 0)
    for _ in 0..<3 {
      lanes.run(on: fixture.image("dead", "dead/image").openings) { answer.wait() }
    }
    defer { for _ in 0..<3 { answer.signal() } }
    let top = try await fixture.graph.add(fixture.image("top", "top"))
    #expect(fixture.graph.chain(from: top).nodes.count == 3)
    try await fixture.graph.remove(named: "top")
  }

  @Test("discard is the same all the way down, unless a node says otherwise")
  func discardOfBacking() async throws {
    let fixture = try GraphFixture()
    try fixture.makeChain()
    var specification = fixture.image("top", "top")
    specification.discard = .unmap
    let top = try await fixture.graph.add(specification)
    let layers = fixture.graph.chain(from: top).nodes
    #expect(layers.map(\.options.discard) == [.unmap, .unmap, .unmap])
    try await fixture.graph.remove(named: "top")
    var below = fixture.image("mid", "mid")
    below.discard = .ignore
    specification = fixture.image("top", "top", backing: .node(.inline(below)))
    specification.discard = .unmap
    let again = try await fixture.graph.add(specification)
    #expect(
      fixture.graph.chain(from: again).nodes.map(\.options.discard) == [.unmap, .ignore, .ignore])
    try await fixture.graph.remove(named: "top")
  }

  @Test("locks are those of a writer at the top and of readers below, until the node is removed")
  func locks() async throws {
    let fixture = try GraphFixture()
    _ = try await fixture.openChain()
    #expect(try !fixture.isFree("top", readOnly: true))
    #expect(try !fixture.isFree("mid"))
    #expect(try fixture.isFree("mid", readOnly: true))
    #expect(try !fixture.isFree("base", format: "raw"))
    try await fixture.graph.remove(named: "top")
    #expect(try fixture.isFree("top"))
    #expect(try fixture.isFree("base", format: "raw"))
  }

  @Test("an image that another process writes is refused, and force-share reads it all the same")
  func forceShare() async throws {
    let fixture = try GraphFixture()
    try fixture.create("top")
    let holder = try ImageHolder("-f", "qcow2", fixture.path("top"))
    let error = await fixture.refusal(fixture.image("top", "top", readOnly: true))
    #expect(error?.code == .locked)
    #expect(error?.message.contains("qemu-io") == true)
    var shared = fixture.image("top", "top", readOnly: true)
    shared.forceShare = true
    _ = try await fixture.graph.add(shared)
    shared.isReadOnly = false
    shared.name = "again"
    #expect(
      await fixture.refusal(shared)?.message
        == "force-share=on can only be used with read-only images")
    holder.release()
  }

  @Test(
    "a header that names a backing file without a format is refused, unless the client tells it")
  func undeclaredFormat() async throws {
    let fixture = try GraphFixture()
    try fixture.create("base")
    try fixture.create("top", backing: "base")
    // The format's header extension becomes one that nobody knows.
    var bytes = try fixture.directory.read("top")
    bytes.replaceSubrange(112..<116, with: [0x12, 0x34, 0x56, 0x78])
    try fixture.directory.write(bytes, to: "top")
    let error = await fixture.refusal(fixture.image("top", "top"))
    #expect(error?.code == .invalidImage)
    #expect(error?.message.contains("names its backing file 'base' without a format") == true)
    let told = fixture.image("top", "top", backingFormat: .qcow2)
    let top = try await fixture.graph.add(told)
    #expect(fixture.graph.chain(from: top).nodes.map(\.driverName) == ["qcow2", "qcow2"])
  }

  @Test("the header's backing file does not matter where the client gives another, or none")
  func otherBacking() async throws {
    let fixture = try GraphFixture()
    try fixture.makeChain()
    let alone = try await fixture.graph.add(
      fixture.image("alone", "top", readOnly: true, backing: .none))
    #expect(fixture.graph.chain(from: alone).nodes.count == 1)
    let base = fixture.image("base", "base", .raw)
    let over = try await fixture.graph.add(
      fixture.image("over", "top", readOnly: true, backing: .node(.inline(base))))
    #expect(fixture.graph.backing(of: over)?.name == "base")
    #expect(fixture.graph.backing(of: over)?.isReadOnly == true)
    let named = try await fixture.graph.add(
      fixture.image("named", "mid", readOnly: true, backing: .node(.named("base"))))
    #expect(fixture.graph.chain(from: named).nodes.map(\.name) == ["named", "base"])
    #expect(Set(try fixture.guest(named)) == [0, 3, 5])
  }

  @Test("a chain that comes back to one of its files is refused, also through another name of it")
  func loops() async throws {
    let fixture = try GraphFixture()
    try fixture.create("a", backing: "link")
    try fixture.create("b", backing: "a")
    #expect(symlink("b", fixture.path("link")) == 0)
    for readOnly in [true, false] {
      let error = await fixture.refusal(fixture.image("n", "a", readOnly: readOnly))
      #expect(error?.message.contains("creates an infinite loop") == true)
    }
    #expect(fixture.graph.allNodes.isEmpty)
    #expect(try fixture.isFree("link") == false)
  }

  @Test("64 images are a chain, 65 are too many, and a refused chain leaves nothing open")
  func depth() async throws {
    let fixture = try GraphFixture()
    try fixture.create("0", "64K")
    try fixture.create("1", "64K", backing: "0")
    for index in 2...64 {
      try fixture.create("\(index)", "64K", backing: "\(index - 1)")
    }
    let top = try await fixture.graph.add(fixture.image("n63", "63"))
    #expect(fixture.graph.chain(from: top).nodes.count == 64)
    try await fixture.graph.remove(named: "n63")
    let error = await fixture.refusal(fixture.image("n64", "64"))
    #expect(error?.message.contains("more than 64 images") == true)
    for name in ["0", "63"] { #expect(try fixture.isFree(name)) }
  }

  @Test("a backing file that is missing, or no file, is refused at once, and nothing stays open")
  func badBacking() async throws {
    let fixture = try GraphFixture()
    #expect(mkfifo(fixture.path("fifo"), 0o600) == 0)
    for (name, part) in [
      ("missing", "No such file or directory"), ("fifo", "is a FIFO"),
      (".", "is a directory"), ("/dev/null", "is a character device"),
    ] {
      let file = "over-\(part.count)"
      try fixture.create(file, backing: name)
      let error = await fixture.refusal(fixture.image("n", file))
      #expect(error?.message.hasPrefix("Could not open backing file: ") == true)
      #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
      try fixture.create(file)
      #expect(try fixture.isFree(file))
    }
  }

  @Test("names are QEMU's, and unique, also within one request")
  func names() async throws {
    let fixture = try GraphFixture()
    try fixture.create("a")
    _ = try await fixture.graph.add(fixture.image("m", "a", readOnly: true))
    #expect(
      await fixture.refusal(fixture.image("m", "a", readOnly: true))?.message
        == "Duplicate nodes with node-name='m'")
    for bad in ["#x", "", "1a", "a b", "ä"] {
      #expect(
        await fixture.refusal(fixture.image(bad, "a"))?.message == "Invalid node-name: '\(bad)'")
    }
    let long = String(repeating: "x", count: 32)
    #expect(await fixture.refusal(fixture.image(long, "a"))?.message == "Node name too long")
    let inner = fixture.image("same", "a", readOnly: true)
    #expect(
      await fixture.refusal(
        fixture.image("same", "a", readOnly: true, backing: .node(.inline(inner))))?.message
        == "Duplicate nodes with node-name='same'")
    var nameless = fixture.image("x", "a")
    nameless.name = nil
    #expect(
      await fixture.refusal(nameless)?.message
        == "'node-name' must be specified for the root node")
  }

  @Test("two requests for one name at the same time: one gets it")
  func race() async throws {
    let fixture = try GraphFixture()
    try fixture.create("a")
    let specification = fixture.image("m", "a", readOnly: true)
    async let one = fixture.refusal(specification)
    async let two = fixture.refusal(specification)
    let errors = await [one, two].compactMap { $0 }
    #expect(errors.map(\.message) == ["Duplicate nodes with node-name='m'"])
    #expect(fixture.graph.allNodes.count == 2)
  }

  @Test("the driver must fit what the name stands for")
  func kinds() async throws {
    let fixture = try GraphFixture()
    try fixture.create("a")
    let device = NodeSpecification(
      name: "d", .file(FileSpecification(.hostDevice, fixture.path("a"))))
    #expect(await fixture.refusal(device)?.message.contains("to be a block device") == true)
    let nul = NodeSpecification(name: "d", .file(FileSpecification(.file, "a\0b")))
    #expect(await fixture.refusal(nul)?.message.contains(#"a\x00b"#) == true)
  }
}
