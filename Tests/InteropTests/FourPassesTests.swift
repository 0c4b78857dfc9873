import QMP
import QMPClient
import TestSupport
import Testing

@Suite("The four ways to commit leave the files that qemu-img commit leaves")
struct FourPassesTests {
  /// One way to commit `top` of the chain base, middle, top.
  enum Pass: String, CaseIterable {
    case intoMiddleAndEmpty = "into the middle, top emptied"
    case intoMiddle = "into the middle by name"
    case keepTop = "keep top"
    case intoBottom = "into the bottom"

    /// The same in the words of qemu-img.
    func arguments(_ chain: ImageChain) -> [String] {
      switch self {
      case .intoMiddleAndEmpty: []
      case .intoMiddle: ["-b", chain.path("middle")]
      case .keepTop: ["-d"]
      case .intoBottom: ["-b", chain.path("base")]
      }
    }

    var base: String { self == .intoBottom ? "base" : "middle" }
  }

  /// Over 2 GiB, and no multiple of a cluster.
  static let size = (2100 << 20) + 512

  static func makeChain() throws -> ImageChain {
    let chain = try ImageChain()
    let shape = ImageShape(size: size)
    let end = size - 65_536
    try chain.add(
      "base", shape, "write -P 1 0 192k", "write -P 1 2047M 2M", "write -P 1 \(end) 64k")
    try chain.add(
      "middle", shape, link: "base.img", "write -P 2 64k 128k", "write -P 2 2048M 64k")
    try chain.add(
      "top", shape, link: "middle.img", "write -P 3 128k 64k", "write -P 3 \(size - 512) 512")
    return chain
  }

  @Test("on base, middle and top", arguments: Pass.allCases)
  func pass(_ pass: Pass) throws {
    let ours = try FourPassesTests.makeChain()
    let theirs = try ours.copy()
    try theirs.succeed(
      "qemu-img", ["commit", "-q"] + pass.arguments(theirs) + [theirs.path("top")])

    let daemon = try DaemonProcess.start()
    let client = try daemon.client()
    try client.add("top", ours.path("top"))
    let outcome = try client.commit("top") { $0.base = ours.path(pass.base) }
    #expect(outcome.error == nil)
    if pass == .intoMiddleAndEmpty { #expect(try client.makeEmpty("top").error == nil) }
    #expect(daemon.stop() == 0)

    for name in ours.names {
      let compared = try QemuTools.img("compare", ours.path(name), theirs.path(name))
      #expect(compared.status == 0, "\(name): \(compared.output)")
      #expect(try ours.map(name) == theirs.map(name), "map of \(name)")
    }
    try ours.checkSound()
  }

  @Test("between names as invalid exactly what lies between", arguments: Pass.allCases)
  func invalidImages(_ pass: Pass) throws {
    let chain = try FourPassesTests.makeChain()
    let daemon = try DaemonProcess.start()
    let client = try daemon.client()
    try client.add("top", chain.path("top"))
    let outcome = try client.commit("top") { $0.base = chain.path(pass.base) }
    let result = try CommitResult(wire: try #require(outcome.result), at: .reply)
    #expect(result.invalidImages == (pass == .intoBottom ? [chain.path("middle")] : []))
  }
}
