import QMP
import QMPClient
import TestSupport
import Testing

@Suite("Commits that make no sense are refused in QEMU's words, and nothing is written")
struct CommitRefusalTests {
  /// A call and the sentence that answers it.
  struct Case: CustomTestStringConvertible, Sendable {
    let sentence: String
    let fill: @Sendable (inout BlockCommit) -> Void

    init(_ sentence: String, _ fill: @escaping @Sendable (inout BlockCommit) -> Void) {
      self.sentence = sentence
      self.fill = fill
    }

    var testDescription: String { sentence }
  }

  static let cases: [Case] = [
    Case("Device 'nope' not found") { $0.device = "nope" },
    Case("Need a root block node") { $0.device = "middle" },
    Case("'top' is not in this backing file chain") {
      ($0.topNode, $0.baseNode) = ("middle", "top")
    },
    Case("'middle' is not in this backing file chain") {
      ($0.topNode, $0.baseNode) = ("base", "middle")
    },
    Case("'other' is not in this backing file chain") { $0.baseNode = "other" },
    Case("'other' is not in this backing file chain") { $0.topNode = "other" },
    Case("cannot commit an image into itself") { ($0.topNode, $0.baseNode) = ("middle", "middle") },
    Case("cannot commit an image into itself") { $0.baseNode = "top" },
    Case("cannot commit an image into itself") { $0.topNode = "base" },
    Case("cannot commit an image into itself") { $0.device = "other" },
    Case("Cannot find device='' nor node-name='zz'") { $0.baseNode = "zz" },
    Case("Cannot find device='' nor node-name='zz'") { $0.topNode = "zz" },
    Case("Top image file bad not found") { $0.top = "bad" },
    Case("Can't find 'bad' in the backing chain") { $0.base = "bad" },
    Case("Can't find 'middle.img' in the backing chain") {
      ($0.top, $0.base) = ("base.img", "middle.img")
    },
    Case("'top-node' and 'top' are mutually exclusive") { ($0.topNode, $0.top) = ("top", "x") },
    Case("'base-node' and 'base' are mutually exclusive") {
      ($0.baseNode, $0.base) = ("base", "x")
    },
    Case("'backing-file' specified, but 'top' is the active layer") { $0.backingFile = "x" },
    Case("Parameter 'speed' expects a non-negative value") { $0.speed = -1 },
    Case("Invalid job ID '1bad id'") { $0.jobID = "1bad id" },
    Case("Duplicate nodes with node-name='middle'") { $0.filterNodeName = "middle" },
    Case("Invalid node-name: '#x'") { $0.filterNodeName = "#x" },
  ]

  @Test("whatever is wrong with it", arguments: cases)
  func refused(_ testCase: Case) throws {
    let chain = try ImageChain()
    let shape = ImageShape(size: 1 << 20)
    try chain.add("base", shape, "write -P 1 0 64k")
    try chain.add("middle", shape, link: "base.img", "write -P 2 64k 64k")
    try chain.add("top", shape, link: "middle.img", "write -P 3 128k 64k")
    try chain.add("other", shape, over: nil, commands: [])
    let before = try chain.names.map(chain.bytes)
    let daemon = try DaemonProcess.start()
    let client = try daemon.client()
    try client.add("other", chain.path("other"))
    try client.add("base", chain.path("base")) { $0.readOnly = true }
    try client.add("middle", chain.path("middle"), backing: .reference(.node("base"))) {
      $0.readOnly = true
    }
    try client.add("top", chain.path("top"), backing: .reference(.node("middle")))

    #expect(refusal { try client.startCommit(of: "top", testCase.fill) } == testCase.sentence)
    #expect(try client.execute(QueryJobs()).isEmpty)
    #expect(try client.commit("top") { $0.baseNode = "middle" }.error == nil, "it still works")
    #expect(daemon.stop() == 0)
    #expect(try chain.bytes("base") == before[0] && chain.bytes("other") == before[3])
  }

  @Test("a job's nodes are busy for others, and free after it")
  func busy() throws {
    let chain = try ImageChain()
    try chain.add("base", ImageShape(size: 1 << 20), "write -P 1 0 64k")
    try chain.add("top", ImageShape(size: 1 << 20), "write -P 2 0 64k")
    let daemon = try DaemonProcess.start()
    let client = try daemon.client()
    try client.add("base", chain.path("base")) { $0.readOnly = true }
    try client.add("top", chain.path("top"), backing: .reference(.node("base")))
    try client.startCommit(of: "top")
    try client.wait(until: .ready)
    for name in ["top", "base"] {
      let sentence = refusal { try client.remove(name) }
      #expect(sentence?.hasPrefix("Node '\(name)' is busy") == true, "\(sentence ?? "")")
    }
    #expect(refusal { try client.startCommit(of: "top") } == "Job ID 'j' already in use")
    let second = refusal { try client.startCommit(of: "top") { $0.jobID = "k" } }
    #expect(second?.contains("busy: block device is in use by block job: commit") == true)
    #expect(try client.finish().error == nil)
    try client.remove("top")
    try client.remove("base")
    #expect(try client.execute(QueryNamedBlockNodes()).isEmpty)
  }
}
