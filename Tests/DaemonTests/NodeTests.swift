import Foundation
import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

/// Members that QEMU has and we do not, for the reasons in `protocol.md`.
private let missing: Set = ["format-specific", "active", "children"]

@Test("query-named-block-nodes tells what qemu-storage-daemon tells, under the same names")
func queryNodes() throws {
  let images = try ExampleImages()
  let daemon = try DaemonProcess.start()
  let oracle = try QemuDaemon()
  let ours = try MonitorSocket.negotiated(daemon.socket)
  let overlay = images.directory.file("overlay.qcow2")
  let disk = images.directory.file("disk.raw")
  func node(_ driver: String, _ name: String, _ path: String) -> String {
    let file = #"{"driver": "file", "filename": "\#(path)"}"#
    return #"{"driver": "\#(driver)", "node-name": "\#(name)", "file": \#(file)}"#
  }
  let requests = [node("qcow2", "o", overlay), node("raw", "r", disk)]
  var lists: [[JSONValue]] = []
  for flat in [false, true] {
    for monitor in [ours, oracle.monitor] {
      for request in requests {
        let answer = try monitor.answer(
          to: #"{"execute": "blockdev-add", "arguments": \#(request)}"#)
        #expect(answer.errorSentence == nil)
      }
      let answer = try monitor.answer(
        to: #"{"execute": "query-named-block-nodes", "arguments": {"flat": \#(flat)}}"#)
      lists.append(try #require(answer["return"]?.arrayValue))
      // The locks of one keep the other out.
      for name in ["o", "r"] {
        _ = try monitor.answer(
          to: #"{"execute": "blockdev-del", "arguments": {"node-name": "\#(name)"}}"#)
      }
    }
    let (nodes, expected) = (lists.removeFirst(), lists.removeFirst())
    #expect(nodes.count == expected.count)
    for node in nodes {
      let same = expected.filter { $0["drv"] == node["drv"] && $0["file"] == node["file"] }
      try #require(same.count == 1, "\(node)")
      let wanted = same[0].withoutGeneratedName.without(missing)
      #expect(wanted.difference(from: node.withoutGeneratedName) == nil)
    }
  }
}

extension JSONValue {
  /// This node with one name in the place of every generated one.
  fileprivate var withoutGeneratedName: JSONValue {
    guard case .object(let object) = self, let name = object["node-name"]?.stringValue,
      name.hasPrefix("#block")
    else { return self }
    return .object(
      JSONObject(
        members: object.members.map { ($0.name, $0.name == "node-name" ? "#block" : $0.value) }))
  }

  /// The same value without members of these names, however deep.
  fileprivate func without(_ names: Set<String>) -> JSONValue {
    guard case .object(let object) = self else { return self }
    return .object(
      JSONObject(
        members: object.members.filter { !names.contains($0.name) }
          .map { ($0.name, $0.value.without(names)) }))
  }
}

@Test("block_resize makes disks larger; what is added reads zero; QEMU agrees")
func resize() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.client.execute(BlockResize { ($0.device, $0.size) = ("overlay", 8_389_120) })
  let info = try stage.client.execute(NodeInfoQuery { $0.node = "overlay" })
  #expect(info.virtualSize == 8_389_120)
  let refusals: [(String, BlockResize)] = [
    ("Cannot find device='' nor node-name='zz'", BlockResize { $0.nodeName = "zz" }),
    ("Cannot find device='zz' nor node-name=''", BlockResize { $0.device = "zz" }),
    ("Need exactly one of 'device' and 'node-name'", BlockResize()),
    (
      "Need exactly one of 'device' and 'node-name'",
      BlockResize { ($0.device, $0.nodeName) = ("overlay", "overlay") }
    ),
    (
      "The new size must be a multiple of 512",
      BlockResize { ($0.nodeName, $0.size) = ("overlay", 8_389_121) }
    ),
    (
      "Node 'middle' is busy: node is used as backing hd of 'overlay'",
      BlockResize { ($0.nodeName, $0.size) = ("middle", 8_388_608) }
    ),
    (
      "Shrinking from 8389120 to 4194304 bytes is not supported",
      BlockResize { ($0.nodeName, $0.size) = ("overlay", 4_194_304) }
    ),
  ]
  for (sentence, command) in refusals {
    #expect(try stage.refusal(of: command).message == sentence)
  }
  try stage.readyCommit("j")
  let busy = try stage.refusal(of: BlockResize { ($0.nodeName, $0.size) = ("overlay", 1 << 24) })
  let sentence = "Node 'overlay' is busy: block device is in use by block job: commit; wait for"
  #expect(busy.message.hasPrefix(sentence))
  try stage.stop()
  let read = try QemuTools.io(stage.path("overlay"), "length", "read -P 0 4M 4194816")
  #expect(read.status == 0, "\(read.output)")
}

@Test("A node below that is not there is told in QEMU's words, with how deep it was to lie")
func missingChildren() throws {
  let both = try SideBySide()
  func image(_ name: String, _ rest: String) -> String {
    let file = #"{"driver": "file", "filename": "/images/\#(name).qcow2"}"#
    return #""driver": "qcow2", "file": \#(file), \#(rest)"#
  }
  for options in [
    image("overlay", #""backing": "zz""#),
    image("overlay", #""backing": {\#(image("middle", #""backing": "zz""#))}"#),
    #""driver": "qcow2", "file": "yy", "backing": "zz""#,
  ] {
    try both.expectSame(
      #"{"execute": "blockdev-add", "arguments": {"node-name": "x", \#(options)}}"#)
  }
  try both.ours.stop()
}

@Test("What lies past the disk is told by its place on the disk, beside the image's name")
func pastTheDisk() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  let write = try stage.refusal(
    of: BlockWrite {
      ($0.node, $0.offset, $0.length, $0.pattern) = ("overlay", 4 << 20, 512, 1)
      $0.job.id = "w"
    })
  let map = try stage.refusal(
    of: NodeMapQuery { ($0.node, $0.offset) = ("overlay", (4 << 20) + 1) })
  for (error, offset) in [(write, 4 << 20), (map, (4 << 20) + 1)] {
    #expect(error.detail?.code == "out-of-range" && error.detail?.file == stage.path("overlay"))
    #expect(error.detail?.guestOffset == offset && error.detail?.offset == nil, "\(error)")
  }
  try stage.stop()
}

@Test("A node that something uses is not closed, nor one that came with another")
func closeNodes() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  func refusal(_ name: String) throws -> String {
    try stage.refusal(of: BlockdevDel { $0.nodeName = name }).message
  }
  #expect(try refusal("zz") == "Failed to find node with node-name='zz'")
  #expect(try refusal("base") == "Node 'base' is busy: node is used as backing hd of 'middle'")
  try stage.readyCommit("j")
  #expect(
    try refusal("overlay").hasPrefix(
      "Node 'overlay' is busy: block device is in use by block job: commit; wait for job 'j'"))
  try stage.client.execute(JobCancel { $0.id = "j" })
  try stage.wait("j")
  try stage.client.execute(BlockdevDel { $0.nodeName = "overlay" })
  #expect(try stage.client.execute(QueryNamedBlockNodes()).isEmpty)
  // Nothing is locked any more.
  let write = try QemuTools.io(stage.path("base"), "write -P 9 0 64k")
  #expect(write.status == 0, "\(write.output)")
  try stage.stop()
}

@Test("Images that another process writes to are refused, and the error names the process")
func lockedImage() throws {
  let stage = try DaemonStage()
  let holder = try ImageHolder("-f", "qcow2", stage.path("overlay"))
  let refusal = try stage.refusal(of: BlockdevAdd(stage.node("overlay", over: nil)))
  #expect(refusal.detail?.code == "locked")
  #expect(refusal.message.contains("process \(holder.pid)"), "\(refusal.message)")
  holder.release()
  try stage.client.execute(BlockdevAdd(stage.node("overlay", over: nil)))
  try stage.stop()
}

@Test("A part of a file is no backing file that a header can say: its name would mean all of it")
func partsInHeaders() throws {
  let stage = try DaemonStage()
  let file = FileOptions(filename: stage.images.directory.file("disk.raw"))
  var part = RawOptions(file: .options(BlockdevOptions(.file(file))))
  (part.offset, part.size) = (1 << 20, 2 << 20)
  let base = BlockdevOptions(.raw(part), nodeName: "part")
  try stage.client.execute(
    BlockdevAdd(stage.node("overlay", over: stage.node("middle", over: base))))
  let stream = BlockStream { ($0.jobID, $0.device, $0.baseNode) = ("j", "overlay", "part") }
  let commit = BlockCommit {
    ($0.jobID, $0.device, $0.topNode, $0.baseNode) = ("j", "overlay", "middle", "part")
  }
  for refused in [try stage.refusal(of: commit), try stage.refusal(of: stream)] {
    #expect(
      refused.message
        == "Node 'part' is a part of its file, which no header can say: give 'backing-file'")
  }
  try stage.stop()
}

@Test("Nodes are listed without an error while jobs close some of them")
func listedMeanwhile() throws {
  let stage = try DaemonStage()
  let other = try stage.daemon.client()
  let (top, middle, base) = (stage.path("overlay"), stage.path("middle"), stage.path("base"))
  for round in 0..<8 {
    let id = "j\(round)"
    try stage.client.add("top", top)
    try stage.client.execute(
      BlockCommit { ($0.jobID, $0.device, $0.top, $0.base) = (id, "top", middle, base) })
    var lengths: Set<Int> = []
    repeat {
      let list = try other.execute(QueryNamedBlockNodes())
      lengths.insert(list.count)
      let info = try other.execute(NodeInfoQuery { $0.node = "top" })
      #expect(info.virtualSize > 0)
      _ = try other.execute(NodeMapQuery { $0.node = "top" })
    } while try !other.execute(QueryJobs()).isEmpty
    // As the chain was, as it is without the layer between, and without a part of that.
    #expect(lengths.isSubset(of: [6, 5, 4]) && lengths.contains(6), "\(lengths)")
    try stage.client.remove("top")
    try QemuTools.img("rebase", "-u", "-b", middle, "-F", "qcow2", top)
  }
  try stage.stop()
}
