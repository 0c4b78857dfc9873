import Foundation
import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

/// What `qemu-img info` says of an image's backing file.
private func link(_ stage: DaemonStage, _ name: String) throws -> [String: JSONValue] {
  let info = try QemuTools.img("info", "-U", "--output=json", stage.path(name))
  let members = try #require(try JSONValue.parse(info.output).objectValue)
  return Dictionary(
    members.members.filter { $0.name.hasPrefix("backing-filename") }
      .map { ($0.name, $0.value) }
  ) { first, _ in first }
}

@Test("Another name for the backing file stands in the header, and what is open stays as it is")
func changedBackingFile() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.client.execute(
    ChangeBackingFile {
      ($0.device, $0.imageNodeName) = ("overlay", "middle")
      $0.backingFile = stage.path("base")
    })
  let expected: [String: JSONValue] = [
    "backing-filename": .string(stage.path("base")), "backing-filename-format": "qcow2",
  ]
  #expect(try link(stage, "middle") == expected)
  let nodes = try stage.client.execute(QueryNamedBlockNodes())
  #expect(nodes.first { $0.nodeName == "middle" }?.backingFile == stage.path("base"))
  #expect(nodes.first { $0.nodeName == "overlay" }?.backingFileDepth == 2)
  try stage.client.execute(
    ChangeBackingFile { ($0.device, $0.imageNodeName) = ("overlay", "overlay") })
  #expect(try link(stage, "overlay").isEmpty)
  try stage.stop()
}

@Test("What stands in the way of another name for the backing file is said as QEMU says it")
func refusedBackingFile() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  func refusal(_ device: String, _ image: String, _ name: String = "x") throws -> String {
    try stage.refusal(
      of: ChangeBackingFile {
        ($0.device, $0.imageNodeName, $0.backingFile) = (device, image, name)
      }
    ).message
  }
  #expect(try refusal("no", "overlay") == "Cannot find device='no' nor node-name='no'")
  #expect(try refusal("overlay", "no") == "Cannot find device='' nor node-name='no'")
  #expect(try refusal("middle", "overlay") == "Need a root block node")
  #expect(try refusal("middle", "no") == "Need a root block node")
  #expect(
    try refusal("overlay", "base")
      == "not allowing backing file change on an image without a backing file")
  #expect(try refusal("overlay", "overlay", "json:{}").contains("json:"))
  try stage.slowCommit("j")
  #expect(try refusal("overlay", "overlay").contains("busy"))
  try stage.client.execute(JobCancel { $0.id = "j" })
  try stage.stop()
}

@Test(
  "A base whose file was renamed or replaced meanwhile is named by no header",
  arguments: ["block-commit", "block-stream"], [false, true])
func movedBase(command: String, isReplaced: Bool) throws {
  let stage = try DaemonStage()
  try stage.openChain()
  let before = try link(stage, "overlay")
  if command == "block-commit" {
    try stage.commit("j") {
      ($0.topNode, $0.baseNode, $0.autoFinalize) = ("middle", "base", false)
    }
  } else {
    try stage.client.execute(
      BlockStream {
        ($0.jobID, $0.device, $0.baseNode, $0.autoFinalize) = ("j", "overlay", "base", false)
      })
  }
  _ = try stage.events(until: .pending, of: "j")
  let (base, elsewhere) = (stage.path("base"), stage.path("base") + ".old")
  try FileManager.default.moveItem(atPath: base, toPath: elsewhere)
  if isReplaced { try FileManager.default.copyItem(atPath: elsewhere, toPath: base) }
  try stage.client.execute(JobFinalize { $0.id = "j" })
  let error = try #require(try stage.wait("j").error)
  #expect(error.contains("The file of node 'base' was renamed or replaced: '\(base)'"))
  #expect(try link(stage, "overlay") == before)
  if isReplaced { try FileManager.default.removeItem(atPath: base) }
  try FileManager.default.moveItem(atPath: elsewhere, toPath: base)
  // The nodes stand as they did, and once the file is back the same works.
  let outcome = try stage.client.commit("overlay") {
    ($0.topNode, $0.baseNode) = ("middle", "base")
  }
  #expect(outcome.error == nil, "\(outcome)")
  try stage.stop()
}

@Test("A header names the base from the root, whatever directory the daemon runs in")
func relativeBase() throws {
  let stage = try DaemonStage(launcher: ["/usr/bin/env", "-C", "/"])
  let relative = ["base", "middle", "overlay"].map { String(stage.path($0).dropFirst()) }
  var below: BlockdevOptions?
  for (name, path) in zip(["base", "middle", "overlay"], relative) {
    let file = BlockdevOptions(.file(FileOptions(filename: path)))
    let backing = below.map { BackingReference.reference(.options($0)) } ?? .none
    below = BlockdevOptions(
      .qcow2(Qcow2Options(file: .options(file), backing: backing)), nodeName: name)
  }
  try stage.client.execute(BlockdevAdd(try #require(below)))
  let outcome = try stage.client.commit("overlay") {
    ($0.topNode, $0.baseNode) = ("middle", "base")
  }
  #expect(outcome.error == nil, "\(outcome)")
  #expect(try link(stage, "overlay")["backing-filename"] == .string(stage.path("base")))
  try stage.stop()
}

@Test("No overlay is made over a file that was renamed or replaced")
func movedTop() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  let (top, elsewhere, new) = (stage.path("overlay"), stage.path("old"), stage.path("new"))
  let snapshot = BlockdevSnapshotSync {
    ($0.nodeName, $0.file, $0.overlayName) = ("overlay", new, "new")
  }
  for isReplaced in [false, true] {
    try FileManager.default.moveItem(atPath: top, toPath: elsewhere)
    if isReplaced { try FileManager.default.copyItem(atPath: elsewhere, toPath: top) }
    let refusal = try stage.refusal(of: snapshot).message
    #expect(refusal.contains("The file of node 'overlay' was renamed or replaced: '\(top)'"))
    #expect(!FileManager.default.fileExists(atPath: new))
    if isReplaced { try FileManager.default.removeItem(atPath: top) }
    try FileManager.default.moveItem(atPath: elsewhere, toPath: top)
  }
  try stage.client.execute(snapshot)
  try stage.stop()
}

/// Whether the image holds data of its own, as `qemu-img map` sees it.
private func holdsData(_ stage: DaemonStage, _ name: String) throws -> Bool {
  let map = try QemuTools.img("map", "-U", "--output=json", stage.path(name)).output
  let runs = try #require(try JSONValue.parse(map).arrayValue)
  return runs.contains { $0["data"]?.boolValue == true && $0["depth"]?.integerValue == 0 }
}

@Test(
  "An overlay keeps its data where the file under it was renamed or replaced meanwhile",
  arguments: ["block-commit", "block-make-empty"], [false, true])
func keptOverMovedBase(command: String, isReplaced: Bool) throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.readyCommit("j") {
    ($0.baseNode, $0.makeEmpty) = ("middle", command == "block-commit")
  }
  if command == "block-make-empty" {
    try stage.client.execute(JobComplete { $0.id = "j" })
    #expect(try stage.wait("j").error == nil)
  }
  let (middle, elsewhere) = (stage.path("middle"), stage.path("middle") + ".old")
  try FileManager.default.moveItem(atPath: middle, toPath: elsewhere)
  if isReplaced { try FileManager.default.copyItem(atPath: elsewhere, toPath: middle) }
  if command == "block-commit" {
    try stage.client.execute(JobComplete { $0.id = "j" })
  } else {
    try stage.client.execute(BlockMakeEmpty { ($0.job.id, $0.node) = ("e", "overlay") })
  }
  let error = try #require(try stage.wait(command == "block-commit" ? "j" : "e").error)
  #expect(error.contains("Node 'overlay' keeps its data"), "\(error)")
  if isReplaced { try FileManager.default.removeItem(atPath: middle) }
  try FileManager.default.moveItem(atPath: elsewhere, toPath: middle)
  #expect(try holdsData(stage, "overlay"))
  // Once the file is back, nothing is in the way.
  try stage.client.execute(BlockMakeEmpty { ($0.job.id, $0.node) = ("again", "overlay") })
  #expect(try stage.wait("again").error == nil)
  #expect(try !holdsData(stage, "overlay"))
  try stage.stop()
}

@Test("An overlay keeps its data where its header does not lead to what lies under it here")
func keptOverOtherHeader() throws {
  let stage = try DaemonStage()
  let base = stage.node("base", over: nil)
  try stage.client.execute(BlockdevAdd(stage.node("overlay", over: base)))
  func refusal(_ id: String) throws -> String? {
    try stage.commit(id) { ($0.baseNode, $0.makeEmpty) = ("base", true) }
    return try stage.wait(id).error
  }
  let other = try #require(try refusal("other"))
  #expect(other.contains("names 'middle.qcow2', which is not the file of node 'base'"), "\(other)")
  try stage.client.execute(
    ChangeBackingFile { ($0.device, $0.imageNodeName) = ("overlay", "overlay") })
  let none = try #require(try refusal("none"))
  #expect(none.contains("names no backing file, and not node 'base'"), "\(none)")
  #expect(try holdsData(stage, "overlay"))
  try stage.client.execute(
    ChangeBackingFile {
      ($0.device, $0.imageNodeName, $0.backingFile) = ("overlay", "overlay", "base.qcow2")
    })
  let outcome = try stage.client.commit("overlay") {
    ($0.baseNode, $0.makeEmpty) = ("base", true)
  }
  #expect(outcome.error == nil, "\(outcome)")
  #expect(try !holdsData(stage, "overlay"))
  try stage.stop(checking: ["base", "overlay"])
}

@Test("An overlay keeps its data where a header further down leads elsewhere")
func keptOverDeeperHeader() throws {
  let stage = try DaemonStage()
  try stage.client.execute(
    BlockdevAdd(stage.node("overlay", over: stage.node("middle", over: nil))))
  try stage.commit("j") { ($0.baseNode, $0.makeEmpty) = ("middle", true) }
  let error = try #require(try stage.wait("j").error)
  #expect(error.contains("node 'middle' names 'base.qcow2', and nothing lies under it"), "\(error)")
  #expect(try holdsData(stage, "overlay"))
  try stage.stop()
}

@Test("Each header is read from where the one above it leads, through links too")
func keptOverLinkedMiddle() throws {
  let stage = try DaemonStage()
  let place = stage.images.directory.file("place")
  try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
  // By itself it lies over place/middle, which is our middle, and that over place/base, which is
  // not our base.
  try FileManager.default.moveItem(atPath: stage.path("overlay"), toPath: place + "/overlay.qcow2")
  try FileManager.default.createSymbolicLink(
    atPath: place + "/middle.qcow2", withDestinationPath: stage.path("middle"))
  try FileManager.default.copyItem(atPath: stage.path("base"), toPath: place + "/base.qcow2")
  let file = BlockdevOptions(.file(FileOptions(filename: place + "/overlay.qcow2")))
  let below = stage.node("middle", over: stage.node("base", over: nil))
  try stage.client.execute(
    BlockdevAdd(
      BlockdevOptions(
        .qcow2(Qcow2Options(file: .options(file), backing: .reference(.options(below)))),
        nodeName: "overlay")))
  try stage.commit("j") { ($0.baseNode, $0.makeEmpty) = ("middle", true) }
  let error = try #require(try stage.wait("j").error)
  #expect(error.contains("names 'base.qcow2', which is not the file of node 'base'"), "\(error)")
  try stage.stop(checking: ["base", "middle"])
}

@Test("An overlay that was moved away from where its header begins keeps its data")
func keptWhereMoved() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.readyCommit("j") { ($0.baseNode, $0.makeEmpty) = ("middle", true) }
  let elsewhere = stage.images.directory.file("elsewhere")
  try FileManager.default.createDirectory(
    atPath: elsewhere, withIntermediateDirectories: false)
  try FileManager.default.moveItem(
    atPath: stage.path("overlay"), toPath: elsewhere + "/overlay.qcow2")
  try stage.client.execute(JobComplete { $0.id = "j" })
  let error = try #require(try stage.wait("j").error)
  #expect(error.contains("from where its file was, which was renamed or replaced"), "\(error)")
  try FileManager.default.moveItem(
    atPath: elsewhere + "/overlay.qcow2", toPath: stage.path("overlay"))
  #expect(try holdsData(stage, "overlay"))
  try stage.stop()
}

@Test("A commit of a layer changes no overlay of it that only an image has named")
func overlayNamedByImage() throws {
  let stage = try DaemonStage()
  let top = stage.path("top")
  let made = try QemuTools.img(
    "create", "-q", "-f", "qcow2", "-b", "overlay.qcow2", "-F", "qcow2", top)
  #expect(made.status == 0, "\(made.output)")
  let file = BlockdevOptions(.file(FileOptions(filename: top)))
  try stage.client.execute(
    BlockdevAdd(BlockdevOptions(.qcow2(Qcow2Options(file: .options(file))), nodeName: "top")))
  let before = try stage.images.directory.read("overlay.qcow2")
  let commit = BlockCommit {
    ($0.jobID, $0.device) = ("j", "top")
    ($0.top, $0.base) = (stage.path("middle"), stage.path("base"))
  }
  let refusal = try stage.refusal(of: commit).message
  #expect(refusal.contains("'\(stage.path("overlay"))' is named only by the image over it"))
  #expect(try stage.images.directory.read("overlay.qcow2") == before)
  try stage.stop()
}

@Test("No header gets a name that would not be followed")
func unstorableName() throws {
  let stage = try DaemonStage()
  let odd = stage.images.directory.file("ba\u{1}se.qcow2")
  try FileManager.default.moveItem(atPath: stage.path("base"), toPath: odd)
  let file = BlockdevOptions(.file(FileOptions(filename: odd)))
  let base = BlockdevOptions(.qcow2(Qcow2Options(file: .options(file))), nodeName: "base")
  try stage.client.execute(
    BlockdevAdd(stage.node("overlay", over: stage.node("middle", over: base))))
  let before = try link(stage, "overlay")
  try stage.commit("j") { ($0.topNode, $0.baseNode) = ("middle", "base") }
  let error = try #require(try stage.wait("j").error)
  #expect(error.contains("control byte"), "\(error)")
  #expect(try link(stage, "overlay") == before)
  try stage.client.execute(
    BlockStream { ($0.jobID, $0.device, $0.baseNode) = ("s", "overlay", "base") })
  #expect(try stage.wait("s").error?.contains("control byte") == true)
  #expect(try link(stage, "overlay") == before)
  try FileManager.default.moveItem(atPath: odd, toPath: stage.path("base"))
  try stage.stop()
}
