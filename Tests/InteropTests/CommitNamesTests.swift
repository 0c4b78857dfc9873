import Foundation
import QMP
import QMPClient
import TestSupport
import Testing

@Suite("Top, base and the overlay's new backing file")
struct CommitNamesTests {
  private let chain: ImageChain
  private let daemon: DaemonProcess
  private let client: QMPClient

  /// A chain of relative names, base, low, high and top, opened through its headers.
  init() throws {
    chain = try ImageChain()
    let shape = ImageShape(size: 1 << 20)
    try chain.add("base", shape, "write -P 1 0 256k")
    try chain.add("low", shape, link: "base.img", "write -P 2 64k 64k")
    try chain.add("high", shape, link: "low.img", "write -P 3 128k 64k")
    try chain.add("top", shape, link: "high.img", "write -P 4 192k 64k")
    // With a root, images that only headers name may be written to.
    daemon = try DaemonProcess.start(arguments: ["--image-root", chain.directory.path])
    client = try daemon.client()
    try client.add("top", chain.path("top"))
  }

  /// A node by the file that it shows.
  private func node(_ name: String) throws -> String {
    let nodes = try client.execute(QueryNamedBlockNodes())
    let node = nodes.first { $0.file == chain.path(name) && $0.driver == .qcow2 }
    return try #require(node).nodeName
  }

  /// How a client may call the image `NAME.img` in its directory.
  enum Naming: CaseIterable {
    case path, storedName, otherSpelling, node

    func file(_ name: String, in chain: ImageChain) -> String {
      switch self {
      case .storedName: "\(name).img"
      case .otherSpelling: "\(chain.directory.path)/.//\(name).img"
      case .path, .node: chain.path(name)
      }
    }
  }

  @Test("the base's name is stored without what leads nowhere")
  func plainName() throws {
    let chain = try ImageChain()
    let shape = ImageShape(size: 1 << 20)
    try FileManager.default.createDirectory(
      atPath: chain.directory.file("sub"), withIntermediateDirectories: true)
    try chain.add("base", shape, "write -P 1 0 256k")
    try chain.add("high", shape, link: "sub/..//./base.img", "write -P 3 128k 64k")
    try chain.add("top", shape, link: "high.img", "write -P 4 192k 64k")
    #expect(try storedName(of: chain) == chain.path("base"))
  }

  @Test("the base's name stays as it is where a symbolic link would make it another file")
  func linkedName() throws {
    let chain = try ImageChain()
    let shape = ImageShape(size: 1 << 20)
    let inner = chain.directory.file("far/inner")
    try FileManager.default.createDirectory(atPath: inner, withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(
      atPath: chain.directory.file("link"), withDestinationPath: "far/inner")
    try chain.add("base", shape, "write -P 9 0 256k")
    try chain.add("far/base", shape, over: nil, commands: ["write -P 1 0 256k"])
    try chain.add("high", shape, over: "far/base", link: "link/../base.img", "write -P 3 128k 64k")
    try chain.add("top", shape, link: "high.img", "write -P 4 192k 64k")
    #expect(try storedName(of: chain) == chain.directory.file("link/../base.img"))
  }

  /// What the top calls the base after what lies between is committed into it; its view stays.
  private func storedName(of chain: ImageChain) throws -> String? {
    let view = try chain.view("top")
    let daemon = try DaemonProcess.start(arguments: ["--image-root", chain.directory.path])
    let client = try daemon.client()
    try client.add("top", chain.path("top"))
    let outcome = try client.commit("top") { $0.top = chain.path("high") }
    #expect(outcome.error == nil, "\(outcome.error ?? "")")
    try client.remove("top")
    #expect(try chain.shows("top", view))
    return try chain.info("top").backingName
  }

  @Test("are found by node, and by every name a file has", arguments: Naming.allCases)
  func names(naming: Naming) throws {
    let view = try chain.view("top")
    let nodes = (try node("high"), try node("base"))
    let outcome = try client.commit("top") {
      if naming == .node {
        ($0.topNode, $0.baseNode) = nodes
      } else {
        ($0.top, $0.base) = (naming.file("high", in: chain), naming.file("base", in: chain))
      }
    }
    #expect(outcome.error == nil)
    let facts = try chain.info("top")
    #expect(facts.backingName == chain.path("base") && facts.backingFormat == "qcow2")
    #expect(try chain.shows("top", view))
    #expect(try node("base") == client.execute(NodeInfoQuery { $0.node = "top" }).backingNode)
    let files = Set(try client.execute(QueryNamedBlockNodes()).map(\.file))
    #expect(files == [chain.path("top"), chain.path("base")], "what lay between is closed")
    try chain.checkSound()
  }

  @Test("backing-file is stored as it is", arguments: ["base.img", "./base.img"])
  func backingFile(name: String) throws {
    let view = try chain.view("top")
    let outcome = try client.commit("top") {
      ($0.top, $0.base, $0.backingFile) = ("high.img", "base.img", name)
    }
    #expect(outcome.error == nil)
    let facts = try chain.info("top")
    #expect(facts.backingName == name && facts.backingFormat == "qcow2")
    #expect(daemon.stop() == 0)
    #expect(try chain.shows("top", view))
    try chain.checkSound()
  }

  @Test("backing-file may have as many bytes as a header holds, and not one more")
  func longBackingFile() throws {
    let before = try chain.names.map(chain.bytes)
    let path = chain.path("base")
    let longest = String(repeating: "/", count: 1023 - path.utf8.count) + path
    let outcome = try client.commit("top") {
      ($0.top, $0.base, $0.backingFile) = ("high.img", "base.img", "/\(longest)")
    }
    #expect(outcome.error?.contains("1023") == true)
    #expect(try chain.names.map(chain.bytes) == before, "nothing was written")
    let again = try client.commit("top") {
      ($0.top, $0.base, $0.backingFile) = ("high.img", "base.img", longest)
    }
    #expect(again.error == nil)
    #expect(try chain.info("top").backingName == longest)
    try chain.checkSound()
  }

  @Test("the overlay's own overlays and files stay as they are", arguments: ["low", "high"])
  func onlyTheOverlayChanges(top: String) throws {
    let overlay = top == "low" ? "high" : "top"
    let others = chain.names.filter { $0 != overlay && $0 != "base" }
    let before = try others.map(chain.bytes)
    #expect(
      try client.commit("top") { ($0.top, $0.base) = ("\(top).img", "base.img") }.error == nil)
    #expect(try others.map(chain.bytes) == before)
    #expect(try chain.info(overlay).backingName == chain.path("base"))
  }

  @Test("what was read-only is read-only again", arguments: [true, false])
  func readOnlyAgain(succeeds: Bool) throws {
    let base = try node("base")
    #expect(try client.execute(NodeInfoQuery { $0.node = base }).readOnly)
    try client.startCommit(of: "top") {
      ($0.top, $0.base) = ("high.img", "base.img")
      $0.autoFinalize = succeeds
    }
    if !succeeds {
      try client.next(BlockJobPending.self)
      #expect(try !client.execute(NodeInfoQuery { $0.node = base }).readOnly)
      try client.execute(JobCancel { $0.id = "j" })
    }
    #expect((try client.finish().error == nil) == succeeds)
    #expect(try client.execute(NodeInfoQuery { $0.node = base }).readOnly)
    // Another reader may come now, which the lock of a writer would keep out.
    #expect(try QemuTools.run("qemu-io", ["-r", "-c", "length", chain.path("base")]).status == 0)
  }

  @Test("an overlay that was opened read-only is reopened to be rewritten")
  func readOnlyOverlay() throws {
    try client.remove("top")
    try client.add("top", chain.path("top")) { $0.readOnly = true }
    let view = try chain.view("top")
    let outcome = try client.commit("top") { ($0.top, $0.base) = ("high.img", "low.img") }
    #expect(outcome.error == nil)
    #expect(try chain.info("top").backingName == chain.path("low"))
    #expect(try client.execute(NodeInfoQuery { $0.node = "top" }).readOnly)
    #expect(try chain.shows("top", view))
  }

  @Test("a chain that is put together otherwise than the headers say is committed as it is")
  func overriddenBacking() throws {
    try client.remove("top")
    try chain.add("other", ImageShape(size: 1 << 20), over: nil, commands: ["write -P 9 0 1M"])
    try client.add("other", chain.path("other")) { $0.readOnly = true }
    try client.add("high", chain.path("high"), backing: .reference(.node("other"))) {
      $0.readOnly = true
    }
    try client.add("top", chain.path("top"), backing: .reference(.node("high")))
    let before = try (chain.bytes("base"), chain.bytes("low"))
    #expect(try client.commit("top") { ($0.topNode, $0.baseNode) = ("high", "other") }.error == nil)
    #expect(try chain.info("top").backingName == chain.path("other"))
    #expect(try chain.bytes("base") == before.0 && chain.bytes("low") == before.1)
    #expect(daemon.stop() == 0)
    let expected = try QemuTools.io(
      chain.path("top"), "read -P 9 0 128k", "read -P 3 128k 64k", "read -P 4 192k 64k",
      "read -P 9 256k 768k")
    #expect(expected.status == 0 && !expected.output.contains("failed"), "\(expected.output)")
  }

  @Test("an active commit lets the header of top be")
  func activeKeepsHeader() throws {
    let before = try chain.bytes("top")
    #expect(try client.commit("top") { $0.base = "base.img" }.error == nil)
    try client.remove("top")
    #expect(try chain.bytes("top") == before)
  }

  @Test("without an image root, what only a header names is not written to")
  func namedByHeaderOnly() throws {
    #expect(daemon.stop() == 0)
    let before = try chain.names.map(chain.bytes)
    let rootless = try DaemonProcess.start()
    let client = try rootless.client()
    try client.add("top", chain.path("top"))
    let sentence = refusal { _ = try client.commit("top") }
    #expect(sentence?.contains("is named only by the image over it") == true)
    #expect(try chain.names.map(chain.bytes) == before)
    #expect(
      try client.commit("top") { $0.base = chain.path("base") }.error == nil, "now it is named")
  }
}
