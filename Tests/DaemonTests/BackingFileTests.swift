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
