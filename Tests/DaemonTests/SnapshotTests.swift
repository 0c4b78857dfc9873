import Foundation
import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

private func add(_ name: String, _ rest: String = "") -> String {
  #"""
  {"execute": "blockdev-add", "arguments": {"driver": "qcow2", "node-name": "\#(name)",
    "file": {"driver": "file", "filename": "/images/\#(name).qcow2"}\#(rest)}}
  """#
}

private func snapshot(_ node: String, _ overlay: String) -> String {
  #"{"execute": "blockdev-snapshot", "arguments": {"node": "\#(node)", "overlay": "\#(overlay)"}}"#
}

private func snapshotSync(_ arguments: String) -> String {
  #"{"execute": "blockdev-snapshot-sync", "arguments": {\#(arguments)}}"#
}

@Test("blockdev-snapshot does and refuses what qemu-storage-daemon does, in its words")
func snapshotAsInQemu() throws {
  let both = try SideBySide()
  let raw = #"{"driver": "file", "filename": "/images/disk.raw"}"#
  let steps = [
    add("base"), add("middle", #", "backing": "base""#), add("overlay", #", "backing": null"#),
    add("large", #", "backing": null"#),
    #"""
    {"execute": "blockdev-add",
     "arguments": {"driver": "raw", "node-name": "r", "file": \#(raw)}}
    """#,
    snapshot("nope", "overlay"), snapshot("middle", "nope"), snapshot("middle", "r"),
    snapshot("base", "overlay"), snapshot("overlay", "middle"), snapshot("overlay", "overlay"),
    snapshot("middle", "overlay"), snapshot("middle", "large"), snapshot("large", "overlay"),
    snapshot("r", "large"), snapshot("r", "overlay"), snapshot("base", "nope"),
  ]
  for step in steps { try both.expectSame(step) }
  try both.ours.stop(checking: ["base", "middle", "overlay", "large"])
}

@Test("blockdev-snapshot-sync refuses what qemu-storage-daemon does, in its words")
func snapshotSyncAsInQemu() throws {
  let both = try SideBySide()
  let steps = [
    add("base"), add("middle", #", "backing": "base""#),
    snapshotSync(#""snapshot-node-name": "n""#),
    snapshotSync(#""snapshot-file": "/images/n""#),
    snapshotSync(#""node-name": "zz", "snapshot-file": "/images/n""#),
    snapshotSync(#""device": "zz", "snapshot-file": "/images/n", "snapshot-node-name": "n""#),
    snapshotSync(#""node-name": "middle", "snapshot-file": "/images/n""#),
    snapshotSync(#""node-name": "middle", "snapshot-file": "", "snapshot-node-name": "n""#),
    snapshotSync(#""node-name": "middle", "snapshot-file": "/images/n", "mode": "zz""#),
    snapshotSync(
      #""node-name": "middle", "snapshot-file": "/images/n", "snapshot-node-name": "base""#),
    snapshotSync(#""node-name": "base", "snapshot-file": "/images/n", "snapshot-node-name": "n""#),
    snapshotSync(
      #""node-name": "middle", "snapshot-file": "/images/x/n", "snapshot-node-name": "n""#),
    snapshotSync(
      ##""node-name": "middle", "snapshot-file": "/images/n", "snapshot-node-name": "#2""##),
    snapshotSync(
      #"""
      "node-name": "middle", "snapshot-file": "/images/n", "snapshot-node-name": "n",
      "format": "zz"
      """#),
    snapshotSync(
      #"""
      "node-name": "middle", "snapshot-file": "/images/n", "snapshot-node-name": "n",
      "format": "raw"
      """#),
    snapshotSync(
      #"""
      "node-name": "middle", "snapshot-file": "/images/disk.raw", "snapshot-node-name": "n",
      "format": "raw", "mode": "existing"
      """#),
    snapshotSync(
      #"""
      "node-name": "middle", "snapshot-file": "/images/no", "snapshot-node-name": "n",
      "mode": "existing"
      """#),
  ]
  for step in steps { try both.expectSame(step) }
  #expect(
    try both.ourError(
      snapshotSync(
        #""node-name": "middle", "snapshot-file": "/images/base.qcow2", "snapshot-node-name": "n""#)
    )?
    .hasPrefix("Failed to get") ?? false)
  try both.ours.stop()
}

@Test("What is written after a snapshot goes to the overlay, and a commit brings it back")
func writesAfterSnapshot() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  let file = stage.images.directory.file("snap.qcow2")
  try stage.client.execute(
    BlockdevSnapshotSync {
      ($0.nodeName, $0.file, $0.overlayName) = ("overlay", file, "snap")
    })
  let nodes = try stage.client.execute(QueryNamedBlockNodes())
  #expect(nodes.first { $0.nodeName == "overlay" }?.readOnly == true)
  let top = try #require(nodes.first { $0.nodeName == "snap" })
  #expect(!top.readOnly && top.backingFileDepth == 3)
  #expect(top.image.backingFilename == stage.path("overlay"))
  let written = try stage.client.write(
    "snap", at: 1 << 20, length: 64 << 10, from: stage.images.directory.file("disk.raw"))
  #expect(written.error == nil)
  try stage.client.execute(
    BlockWrite {
      ($0.node, $0.offset, $0.length, $0.pattern) = ("snap", 2 << 20, 64 << 10, 0x55)
      $0.job.id = "j"
      $0.job.autoDismiss = false
    })
  #expect(try stage.client.conclude().error == nil)
  let before = try QemuTools.run(
    "qemu-io", ["-U", "-r", "-f", "qcow2", "-c", "read -P 0 2M 64k", stage.path("overlay")])
  #expect(before.status == 0 && !before.output.contains("failed"), "\(before.output)")
  let outcome = try stage.client.commit("snap") { $0.baseNode = "overlay" }
  #expect(outcome.error == nil, "\(outcome)")
  try stage.client.remove("snap")
  try stage.stop()
  let after = try QemuTools.io(
    stage.path("overlay"), "read -P 0x55 2M 64k", "read -P 0x33 128k 64k")
  #expect(after.status == 0, "\(after.output)")
}

@Test("An overlay over a device needs no name: it gets one, and can be used by it")
func unnamedOverlay() throws {
  let stage = try DaemonStage()
  try stage.client.execute(BlockdevAdd(stage.node("base", over: nil)))
  let file = stage.images.directory.file("snap.qcow2")
  try stage.client.execute(BlockdevSnapshotSync { ($0.device, $0.file) = ("base", file) })
  let nodes = try stage.client.execute(QueryNamedBlockNodes())
  let overlay = try #require(nodes.first { $0.file == file && $0.driver == .qcow2 })
  #expect(overlay.nodeName.hasPrefix("#block") && overlay.backingFileDepth == 1)
  try stage.client.remove(overlay.nodeName)
  try stage.client.remove("base")
  #expect(try stage.client.execute(QueryNamedBlockNodes()).isEmpty)
  try stage.stop(checking: ["base"])
}

@Test("An overlay that is there already is opened over its node, and its header stays")
func existingOverlay() throws {
  let stage = try DaemonStage()
  try stage.client.execute(BlockdevAdd(stage.node("base", over: nil)))
  try stage.client.execute(
    BlockdevSnapshotSync {
      ($0.device, $0.file, $0.overlayName) = ("base", stage.path("middle"), "middle")
      $0.mode = .existing
    })
  let info = try stage.client.execute(NodeInfoQuery { $0.node = "middle" })
  #expect(info.backingNode == "base" && info.backingFilename == "base.qcow2" && !info.readOnly)
  // Where the overlay cannot be put over its node it is not left open.
  let busy = try stage.refusal(
    of: BlockdevSnapshotSync {
      ($0.nodeName, $0.file, $0.overlayName) = ("base", stage.path("overlay"), "overlay")
      $0.mode = .existing
    })
  #expect(busy.message == "Node 'base' is busy: node is used as backing hd of 'middle'")
  #expect(try stage.client.execute(QueryNamedBlockNodes()).count == 4)
  try stage.stop()
}

@Test("The graph names every node and job, and says what each does with which")
func blockGraph() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.slowCommit("j")
  let graph = try stage.client.execute(QueryBlockGraph())
  var names: [Int: String] = [:]
  for node in graph.nodes { names[node.id] = node.name }
  #expect(Set(graph.nodes.map(\.id)).count == graph.nodes.count)
  #expect(graph.nodes.filter { $0.kind == .job }.map(\.name) == ["j"])
  let edges = graph.edges.map { edge in
    "\(names[edge.parent] ?? "?") \(edge.name) \(names[edge.child] ?? "?")"
  }
  let expected = [
    "overlay backing middle", "middle backing base", "j node overlay", "j node middle",
    "j node base",
  ]
  #expect(Set(edges).isSuperset(of: expected), "\(edges)")
  let writer = try #require(
    graph.edges.first { names[$0.parent] == "j" && names[$0.child] == "base" })
  #expect(writer.permissions.contains(.write) && !writer.shared.contains(.write))
  try stage.client.execute(JobCancel { $0.id = "j" })
  try stage.stop()
}
