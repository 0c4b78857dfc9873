import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

/// The numbers of each node by name.
private func stats(_ stage: DaemonStage) throws -> [String: BlockStats] {
  let list = try stage.client.execute(QueryBlockStats { $0.queryNodes = true })
  return Dictionary(list.map { ($0.nodeName ?? "", $0) }) { first, _ in first }
}

@Test("Every node tells what has passed through it")
func nodesCount() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  #expect(try stage.client.execute(QueryBlockStats()).isEmpty)
  let before = try stats(stage)
  #expect(before["middle"]?.stats == BlockDeviceStats())
  try stage.readyCommit("j") { $0.baseNode = "middle" }
  try stage.client.execute(JobComplete { $0.id = "j" })
  #expect(try stage.wait("j").error == nil)
  let after = try stats(stage)
  let (overlay, middle) = (try #require(after["overlay"]), try #require(after["middle"]))
  #expect(overlay.stats.readBytes == 65_536 && overlay.stats.writes == 0)
  // The overlay's 64 KiB lie at 128 KiB.
  #expect(middle.stats.writtenBytes == 65_536 && middle.stats.writes > 0)
  #expect(middle.stats.highestWrite == 192 << 10 && middle.stats.flushes > 0)
  #expect(middle.stats.writeNanoseconds > 0 && middle.stats.failedWrites == 0)
  // Where an image ends in its file, libvirt asks the file's node.
  let file = try #require(middle.parent)
  let size = try stage.images.directory.read("middle.qcow2").count
  #expect(file.stats.highestWrite > 192 << 10 && file.stats.highestWrite <= size)
  #expect(after[file.nodeName ?? ""]?.stats.highestWrite == file.stats.highestWrite)
  #expect(overlay.parent?.stats.highestWrite == 0)
  try stage.stop()
}

@Test("A file tells what an image in it has given back")
func filesCountDiscards() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  let name = try #require(try stats(stage)["overlay"]?.parent?.nodeName)
  #expect(try stats(stage)[name]?.driverSpecific?.discards == 0)
  try stage.client.execute(
    BlockMakeEmpty {
      ($0.job.id, $0.node, $0.mode, $0.force) = ("e", "overlay", .discard, true)
    })
  #expect(try stage.wait("e").error == nil)
  let file = try #require(try stats(stage)[name]?.driverSpecific)
  #expect(file.discards > 0 && file.discardedBytes >= 65_536 && file.failedDiscards == 0)
  try stage.stop()
}

@Test("The statistics of nodes have every member that QEMU's have, of the same type")
func statsLikeQEMU() throws {
  let stage = try DaemonStage()
  try stage.client.execute(BlockdevAdd(stage.node("base", over: nil)))
  let qemu = try QemuDaemon()
  let node = #""driver": "qcow2", "node-name": "base", "read-only": true, "force-share": true"#
  let file = #"{"driver": "file", "filename": "\#(stage.path("base"))"}"#
  let add = #"{"execute": "blockdev-add", "arguments": {\#(node), "file": \#(file)}}"#
  #expect(try qemu.monitor.answer(to: add)["return"] == [:])
  let command = #"{"execute": "query-blockstats", "arguments": {"query-nodes": true}}"#
  let theirs = try #require(try qemu.monitor.answer(to: command)["return"]?.arrayValue)
  let ours = try MonitorSocket.negotiated(stage.daemon.socket).answer(to: command)["return"]
  #expect(theirs.count == 2 && ours?.arrayValue?.count == 2)
  for (index, node) in theirs.enumerated() {
    let own = try #require(ours?[index])
    #expect(missing(from: own, of: node) == [])
  }
  try stage.stop(checking: ["base"])
}

/// The members of `expected` that are not in `value`, or are there with another type.
private func missing(from value: JSONValue, of expected: JSONValue) -> [String] {
  switch (expected, value) {
  case (.object(let members), .object(let others)):
    members.members.flatMap { member -> [String] in
      guard let other = others[member.name] else { return [member.name] }
      return missing(from: other, of: member.value).map { "\(member.name).\($0)" }
    }
  case (.integer, .integer), (.bool, .bool), (.array, .array), (.string, .string): []
  default: ["another type"]
  }
}
