import QMP
import QMPClient
import TestSupport
import Testing

@Suite("Images that somebody else uses")
struct LockTests {
  private let chain: ImageChain
  private let daemon: DaemonProcess
  private let client: QMPClient

  init() throws {
    chain = try ImageChain()
    try chain.add("base", ImageShape(size: 4 << 20), "write -P 1 0 1M")
    try chain.add("middle", ImageShape(size: 4 << 20), "write -P 2 512k 1M")
    try chain.add("top", ImageShape(size: 4 << 20), "write -P 3 1M 1M")
    daemon = try DaemonProcess.start()
    client = try daemon.client()
  }

  /// The chain still works when nobody is in the way any more.
  private func expectCommit() throws {
    let view = try chain.view("top")
    try client.add("top", chain.path("top"))
    #expect(try client.commit("top") { $0.base = chain.path("base") }.error == nil)
    #expect(try chain.shows("base", view))
  }

  @Test("a layer that qemu-io writes to cannot be opened", arguments: ["top", "middle", "base"])
  func heldForWriting(name: String) throws {
    let before = try chain.names.map(chain.bytes)
    let holder = try ImageHolder("-f", "qcow2", chain.path(name))
    let sentence = refusal { try client.add("top", chain.path("top")) }
    #expect(sentence?.contains("Failed to get") == true)
    #expect(sentence?.contains("process \(holder.pid) (qemu-io)") == true, "\(sentence ?? "")")
    #expect(try client.execute(QueryNamedBlockNodes()).isEmpty)
    holder.release()
    #expect(try chain.names.map(chain.bytes) == before)
    try expectCommit()
  }

  @Test("a base that qemu-io reads is not committed into")
  func baseHeldForReading() throws {
    let before = try chain.names.map(chain.bytes)
    let holder = try ImageHolder("-r", "-f", "qcow2", chain.path("base"))
    try client.add("top", chain.path("top"))
    let outcome = try client.commit("top") { $0.base = chain.path("base") }
    #expect(outcome.error?.contains("Failed to get") == true)
    #expect(outcome.error?.contains("process \(holder.pid) (qemu-io)") == true)
    holder.release()
    try client.remove("top")
    #expect(try chain.names.map(chain.bytes) == before)
    try expectCommit()
  }

  @Test("an overlay above top that qemu-io reads is not rewritten")
  func overlayHeldForReading() throws {
    try client.add("base", chain.path("base")) { $0.readOnly = true }
    try client.add("middle", chain.path("middle"), backing: .reference(.node("base"))) {
      $0.readOnly = true
    }
    try client.add("top", chain.path("top"), backing: .reference(.node("middle"))) {
      $0.readOnly = true
    }
    let before = try chain.names.map(chain.bytes)
    let holder = try ImageHolder("-r", "-f", "qcow2", chain.path("top"))
    let outcome = try client.commit("top") { ($0.topNode, $0.baseNode) = ("middle", "base") }
    #expect(outcome.error?.contains("process \(holder.pid) (qemu-io)") == true)
    holder.release()
    #expect(try chain.names.map(chain.bytes) == before, "nothing was written")
    let again = try client.commit("top") { ($0.topNode, $0.baseNode) = ("middle", "base") }
    #expect(again.error == nil)
  }

  @Test("keep QEMU's tools out while a job runs, and let them in again after it")
  func keepsOthersOut() throws {
    try client.add("top", chain.path("top"))
    try client.startCommit(of: "top") { $0.base = chain.path("base") }
    try client.wait(until: .ready)
    for name in ["base", "middle", "top"] {
      let outcome = try QemuTools.io(chain.path(name), "write 0 64k")
      #expect(outcome.status != 0)
      #expect(outcome.output.contains("Failed to get"), "\(outcome.output)")
      #expect(outcome.output.contains("Is another process using the image"))
    }
    let committed = try QemuTools.img("commit", chain.path("middle"))
    #expect(committed.status != 0 && committed.output.contains("Failed to get"))
    #expect(try client.finish().error == nil)
    try client.remove("top")
    #expect(try QemuTools.io(chain.path("base"), "write -P 9 0 64k").status == 0)
    try chain.checkSound()
  }

  @Test("two daemons exclude each other")
  func twoDaemons() throws {
    let other = try DaemonProcess.start()
    try other.client().add("top", chain.path("top"))
    let sentence = refusal { try client.add("top", chain.path("top")) }
    #expect(sentence?.contains("process \(other.pid) (qblockd)") == true, "\(sentence ?? "")")
    #expect(other.stop() == 0)
    try expectCommit()
  }
}
