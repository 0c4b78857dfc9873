import QMP
import QMPClient
import TestSupport
import Testing

@Suite("A stream, looked at by qemu-img")
struct StreamTests {
  private let chain: ImageChain
  private let daemon: DaemonProcess
  private let client: QMPClient

  /// A chain of relative names, base, low, middle and top, of different clusters and versions, with
  /// compressed clusters and zeros in its midst, opened through its headers.
  init() throws {
    chain = try ImageChain()
    try chain.add("base", ImageShape(size: 3 << 20), "write -P 1 0 3M")
    try chain.add(
      "low", ImageShape(size: 2 << 20, clusterSize: 4096), link: "base.img",
      "write -c -P 2 64k 256k", "write -z 512k 64k", "write -P 3 700k 30k")
    try chain.add(
      "middle", ImageShape(size: 3 << 20, version: 2, clusterSize: 512), link: "low.img",
      "write -P 4 1M 100k", "write -P 5 2900k 8k")
    try chain.add(
      "top", ImageShape(size: 3 << 20), link: "middle.img", "write -P 6 1040k 8k")
    // With a root, images that only headers name may be written to.
    daemon = try DaemonProcess.start(arguments: ["--image-root", chain.directory.path])
    client = try daemon.client()
    try client.add("top", chain.path("top"))
  }

  private func node(_ name: String) throws -> String {
    let nodes = try client.execute(QueryNamedBlockNodes())
    let node = nodes.first { $0.file == chain.path(name) && $0.driver == .qcow2 }
    return try #require(node).nodeName
  }

  private func stream(
    into device: String, _ fill: (inout BlockStream) -> Void
  ) throws -> JobOutcome {
    try client.execute(
      BlockStream {
        ($0.jobID, $0.device, $0.autoDismiss) = ("j", device, false)
        fill(&$0)
      })
    return try client.conclude()
  }

  /// Streams, and expects every guest's view, every image but the streamed one and the soundness of
  /// all to be what they were, and the header of `name` to say `link`.
  private func check(
    into name: String, link: String?, format: String? = "qcow2",
    _ fill: (inout BlockStream) -> Void
  ) throws {
    let views = try chain.names.map { ($0, try chain.view($0)) }
    let others = try chain.names.filter { $0 != name }.map { ($0, try chain.bytes($0)) }
    #expect(try stream(into: try node(name), fill).error == nil)
    #expect(daemon.stop() == 0)
    for (name, view) in views { #expect(try chain.shows(name, view), "\(name)") }
    for (name, bytes) in others { #expect(try chain.bytes(name) == bytes, "\(name)") }
    try chain.checkSound()
    let info = try chain.info(name)
    #expect(info.backingName == link)
    #expect(info.backingFormat == (link == nil ? nil : format))
  }

  @Test("down to a base, by its node")
  func baseNode() throws {
    let base = try node("base")
    try check(into: "top", link: chain.path("base")) { $0.baseNode = base }
  }

  @Test("down to a base, by its file, under another name")
  func baseFile() throws {
    try check(into: "top", link: "./low.img") {
      ($0.base, $0.backingFile) = ("low.img", "./low.img")
    }
  }

  @Test("down to what lies under the lowest layer that is named")
  func bottom() throws {
    let middle = try node("middle")
    try check(into: "top", link: chain.path("low")) { $0.bottom = middle }
  }

  @Test("of the whole chain")
  func all() throws {
    try check(into: "top", link: nil) { _ in }
  }

  @Test("into a layer in the middle, on which another lies")
  func intoMiddle() throws {
    try check(into: "middle", link: nil) { _ in }
  }

  @Test("held, cancelled and begun again")
  func again() throws {
    let base = try node("base")
    try client.execute(
      BlockStream {
        ($0.jobID, $0.device, $0.baseNode) = ("j", "top", base)
        ($0.speed, $0.autoDismiss) = (1, false)
      })
    try client.execute(JobPause { $0.id = "j" })
    try client.execute(JobCancel { $0.id = "j" })
    #expect(try client.conclude().error == "The job was cancelled")
    try check(into: "top", link: chain.path("base")) { $0.baseNode = base }
  }

  @Test("then commit: what came up goes down again")
  func commitAfterwards() throws {
    let view = try chain.view("top")
    let base = try node("base")
    #expect(try stream(into: "top") { $0.baseNode = base }.error == nil)
    #expect(try client.commit("top") { $0.base = chain.path("base") }.error == nil)
    #expect(daemon.stop() == 0)
    #expect(try chain.shows("base", view))
    try chain.checkSound(["base", "top"])
  }
}
