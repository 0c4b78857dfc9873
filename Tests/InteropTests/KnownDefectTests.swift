import QMP
import QMPClient
import TestSupport
import Testing

@Suite("What QEMU gets wrong in a commit, done right")
struct KnownDefectTests {
  private let chain: ImageChain
  private let daemon: DaemonProcess
  private let client: QMPClient

  init() throws {
    chain = try ImageChain()
    daemon = try DaemonProcess.start(arguments: ["--image-root", chain.directory.path])
    client = try daemon.client()
  }

  /// Commits `top` into `base` in the chain under `last`, and expects that nobody sees it.
  private func commit(_ last: String, from top: String, into base: String) throws {
    let view = try chain.view(last)
    try client.add(last, chain.path(last))
    let outcome = try client.commit(last) {
      ($0.top, $0.base) = (chain.path(top), chain.path(base))
    }
    #expect(outcome.error == nil)
    #expect(try chain.shows(last, view), "while the daemon has the files open")
    #expect(daemon.stop() == 0)
    #expect(try chain.shows(last, view), "when it has closed them")
    try chain.checkSound()
  }

  @Test("zeros behind a short layer's end stay zeros over a longer base", arguments: [2, 3])
  func shortLayer(version: Int) throws {
    let long = ImageShape(size: 4 << 20, version: version)
    try chain.add("base", long, "write -P 1 0 4M")
    try chain.add("middle", ImageShape(size: 1_000_448, version: version), "write -P 2 900k 64k")
    try chain.add("top", long, "write -P 3 2M 64k")
    try commit("top", from: "middle", into: "base")
  }

  @Test("bytes behind the end in a layer's last cluster do not show up", arguments: [2, 3])
  func partialCluster(version: Int) throws {
    let long = ImageShape(size: 1 << 20, version: version)
    try chain.add("base", long, "write -P 1 0 1M")
    // Filled to the cluster's end, and then cut off in its middle.
    try chain.add("middle", long, "write -P 2 448k 64k")
    let end = (448 << 10) + 512
    try chain.succeed(
      "qemu-img", ["resize", "-q", "--shrink", chain.path("middle"), String(end)])
    try chain.add("top", long, "write -P 3 0 64k")
    try commit("top", from: "middle", into: "base")
  }

  @Test("a base that grows shows nothing behind its partial last cluster", arguments: [2, 3])
  func growPartialCluster(version: Int) throws {
    let long = ImageShape(size: 1 << 20, version: version)
    try chain.add("base", long, "write -P 1 448k 64k")
    let end = (448 << 10) + 512
    try chain.succeed("qemu-img", ["resize", "-q", "--shrink", chain.path("base"), String(end)])
    try chain.add("top", long, "write -P 3 0 64k")
    try commit("top", from: "top", into: "base")
    #expect(try chain.info("base").virtualSize == 1 << 20)
  }

  @Test(
    "zero clusters hide what lies under a base that has no zero flag", arguments: ["-z", "-z -u"])
  func zerosOverOldBase(flags: String) throws {
    try chain.add("bottom", ImageShape(size: 1 << 20), "write -P 1 0 1M")
    try chain.add("base", ImageShape(size: 1 << 20, version: 2), "write -P 2 128k 64k")
    try chain.add("top", ImageShape(size: 1 << 20), "write \(flags) 0 512k")
    let view = try chain.view("top")
    try commit("top", from: "top", into: "base")
    #expect(try chain.shows("base", view))
  }

  @Test("a base that grows does not show its own longer backing file", arguments: [2, 3])
  func growOverLongerBacking(version: Int) throws {
    try chain.add("bottom", ImageShape(size: 2 << 20), "write -P 1 0 2M")
    try chain.add("base", ImageShape(size: 500_224, version: version), "write -P 2 0 64k")
    try chain.add("top", ImageShape(size: 2 << 20), "write -P 3 1M 64k")
    let view = try chain.view("top")
    try commit("top", from: "top", into: "base")
    #expect(try chain.shows("base", view))
  }

  @Test("an intermediate commit is durable when its end is told", arguments: [2, 3])
  func durableWhenCompleted(version: Int) throws {
    let shape = ImageShape(size: 64 << 20, version: version)
    try chain.add("base", shape, "write -P 1 0 1M")
    try chain.add("middle", shape, "write -P 2 512k 8M", "write -P 2 32M 64k")
    try chain.add("top", shape, "write -P 3 40M 64k")
    let view = try chain.view("top")
    try client.add("top", chain.path("top"))
    try client.startCommit(of: "top") {
      ($0.top, $0.base) = (chain.path("middle"), chain.path("base"))
    }
    while let event = try client.nextEvent(timeout: .seconds(60)) {
      if event.name == BlockJobCompleted.name { break }
    }
    daemon.kill()
    #expect(try chain.info("top").backingName == chain.path("base"))
    #expect(try chain.shows("top", view))
    try chain.checkSound()
  }

  @Test("an active commit is durable when its end is told")
  func durableWhenActiveCompleted() throws {
    let shape = ImageShape(size: 64 << 20)
    try chain.add("base", shape, "write -P 1 0 1M")
    try chain.add("top", shape, "write -P 2 512k 8M", "write -P 2 32M 64k")
    let view = try chain.view("top")
    try client.add("top", chain.path("top"))
    try client.startCommit(of: "top") { $0.autoComplete = true }
    while let event = try client.nextEvent(timeout: .seconds(60)) {
      if event.name == BlockJobCompleted.name { break }
    }
    daemon.kill()
    #expect(try chain.shows("base", view))
    try chain.checkSound()
  }

  @Test("a base under another open overlay is not written to")
  func otherOverlay() throws {
    let shape = ImageShape(size: 1 << 20)
    try chain.add("base", shape, "write -P 1 0 1M")
    try chain.add("left", shape, over: "base", "write -P 2 0 64k")
    try chain.add("right", shape, over: "base", "write -P 3 64k 64k")
    let before = try chain.bytes("base")
    let view = try chain.view("right")
    try client.add("base", chain.path("base")) { $0.readOnly = true }
    try client.add("left", chain.path("left"), backing: .reference(.node("base")))
    try client.add("right", chain.path("right"), backing: .reference(.node("base")))
    let sentence = refusal { try client.startCommit(of: "left") }
    #expect(sentence?.contains("right") == true, "\(sentence ?? "")")
    #expect(try chain.bytes("base") == before)
    #expect(try chain.shows("right", view))
  }

  @Test("every overlay of the committed layer is led to the base")
  func twoOverlays() throws {
    try chain.add("base", ImageShape(size: 1 << 20), "write -P 1 0 1M")
    try chain.add("middle", ImageShape(size: 500_224), "write -P 2 0 400k")
    try chain.add("left", ImageShape(size: 1 << 20), over: "middle", "write -P 3 0 64k")
    try chain.add("right", ImageShape(size: 700_416), over: "middle", "write -P 4 64k 64k")
    let views = try ["left", "right"].map { ($0, try chain.view($0)) }
    try client.add("base", chain.path("base")) { $0.readOnly = true }
    try client.add("middle", chain.path("middle"), backing: .reference(.node("base"))) {
      $0.readOnly = true
    }
    for name in ["left", "right"] {
      try client.add(name, chain.path(name), backing: .reference(.node("middle")))
    }
    let outcome = try client.commit("left") { ($0.topNode, $0.baseNode) = ("middle", "base") }
    #expect(outcome.error == nil)
    for (name, view) in views {
      #expect(try chain.info(name).backingName == chain.path("base"))
      #expect(try chain.shows(name, view), "\(name)")
    }
    try chain.checkSound()
  }

  @Test("a snapshot in a base that grows can still be gone back to, or the base does not grow")
  func snapshotInBase() throws {
    for version in [2, 3] {
      let (base, top) = ("base\(version)", "top\(version)")
      try chain.add(base, ImageShape(size: 1 << 20, version: version), over: nil, commands: [])
      try chain.io(base, ["write -P 1 0 1M"])
      try chain.succeed("qemu-img", ["snapshot", "-c", "s", chain.path(base)])
      try chain.add(top, ImageShape(size: 4 << 20), over: base, commands: ["write -P 2 0 3M"])
      let before = try (chain.bytes(base), chain.snapshot("s", of: base))
      try client.add(top, chain.path(top))
      let outcome = try client.commit(top)
      try client.remove(top)
      if version == 2 {
        #expect(outcome.error == "Can't resize a v2 image which has snapshots")
        #expect(try chain.bytes(base) == before.0, "nothing was written")
      } else {
        #expect(outcome.error == nil)
      }
      try chain.succeed("qemu-img", ["snapshot", "-a", "s", chain.path(base)])
      #expect(try chain.shows(base, before.1))
      try chain.checkSound([base])
    }
  }
}
