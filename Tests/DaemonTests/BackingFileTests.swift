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
  #expect(
    try refusal("overlay", "base")
      == "not allowing backing file change on an image without a backing file")
  #expect(try refusal("overlay", "overlay", "json:{}").contains("json:"))
  try stage.slowCommit("j")
  #expect(try refusal("overlay", "overlay").contains("busy"))
  try stage.client.execute(JobCancel { $0.id = "j" })
  try stage.stop()
}
