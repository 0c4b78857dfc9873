import QMP
import QMPClient
import TestSupport
import Testing

@Suite("Commits on disks beyond 4 GiB")
struct LargeDiskTests {
  /// Commits `top` into `base`, by us and on a copy by QEMU, and expects the same of both.
  private func commitLikeQemu(_ ours: ImageChain) throws {
    let theirs = try ours.copy()
    try theirs.succeed("qemu-img", ["commit", "-q", theirs.path("top")])
    let daemon = try DaemonProcess.start()
    let client = try daemon.client()
    let format = ours.shapes["base"]?.format ?? ""
    try client.add("base", ours.path("base"), format: format) { $0.readOnly = true }
    try client.add("top", ours.path("top"), backing: .reference(.node("base")))
    #expect(try client.commit("top").error == nil)
    #expect(try client.makeEmpty("top").error == nil)
    #expect(daemon.stop() == 0)
    for name in ours.names {
      let format = ours.shapes[name]?.format ?? ""
      let compared = try QemuTools.img(
        "compare", "-f", format, "-F", format, ours.path(name), theirs.path(name))
      #expect(compared.status == 0, "\(name): \(compared.output)")
      #expect(try ours.info(name).virtualSize == theirs.info(name).virtualSize)
    }
    try ours.checkSound()
  }

  @Test("of patterns around 4 GiB and at the end", arguments: [2, 3])
  func patterns(version: Int) throws {
    let chain = try ImageChain()
    let shape = ImageShape(size: (6 << 30) + 1536, version: version)
    let around = 4 << 30
    try chain.add(
      "base", shape, "write -P 1 0 1M", "write -P 2 \(around - 131_072) 256k",
      "write -P 3 6G 1024")
    let pieces = (0..<16).map { "write -P \(10 + $0) \(around - 65_536 + $0 * 8192) 4096" }
    try chain.add(
      "top", shape, over: "base", link: "base.img",
      commands: pieces + ["write -P 4 \((6 << 30) + 512) 1024"])
    try commitLikeQemu(chain)
  }

  @Test("into a base that is far shorter and has to grow", arguments: ["qcow2", "raw"])
  func shorterBase(format: String) throws {
    let chain = try ImageChain()
    try chain.add("base", ImageShape(size: 1_000_448, format: format), "write -P 1 0 900k")
    try chain.add(
      "top", ImageShape(size: 5 << 30), link: "base.img", "write -P 2 900k 256k",
      "write -P 3 4G 64k")
    try commitLikeQemu(chain)
  }

  @Test("into a base that is longer and keeps its length", arguments: ["qcow2", "raw"])
  func longerBase(format: String) throws {
    let chain = try ImageChain()
    try chain.add(
      "base", ImageShape(size: 5 << 30, format: format), "write -P 1 0 1M", "write -P 2 4G 64k")
    try chain.add("top", ImageShape(size: 1_000_448), link: "base.img", "write -P 3 900k 64k")
    try commitLikeQemu(chain)
  }
}
