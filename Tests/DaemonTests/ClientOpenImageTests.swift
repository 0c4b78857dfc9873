import TestSupport
import Testing

@Suite("qblockctl and images that are open already")
struct ClientOpenImageTests {
  /// A chain with data in its top.
  private func stage() throws -> ClientStage {
    let stage = try ClientStage()
    try stage.makeChain()
    try stage.write("top", "write -P 3 0 1M")
    return stage
  }

  @Test("what the daemon has open for writing can be looked at, through its own node")
  func look() throws {
    let stage = try stage()
    let looks = [
      ["info", "top"], ["map", "top"], ["checksum", "./top"], ["compare", "top", "top"],
    ]
    func answers() throws -> [ClientProgram.Outcome] {
      try looks.map {
        try ClientProgram.run(["--socket", stage.daemon.socket] + $0, in: stage.directory)
      }
    }
    let closed = try answers()
    try stage.done("open", "-n", "disk", "top")
    let nodes = try stage.done("nodes")
    let open = try answers()
    #expect(open == closed)
    #expect(open.allSatisfy { $0.status == 0 })
    #expect(try stage.done("nodes") == nodes)
    try stage.done("create", "-b", "top", "-F", "qcow2", "over")
    try stage.done("close", "disk")
  }

  @Test("what the daemon has open is not changed, and the error names file, node and job")
  func change() throws {
    let stage = try stage()
    try stage.done("open", "-n", "disk", "top")
    for (command, node) in [
      (["commit", "top"], "node 'disk'"), (["commit", "mid"], "under 'disk'"),
      (["make-empty", "top"], "node 'disk'"),
      (["write", "top", "0", "1", "--pattern", "1"], "node 'disk'"),
    ] {
      let outcome = try ClientProgram.run(
        ["--socket", stage.daemon.socket] + command, in: stage.directory)
      #expect(outcome.status == 1)
      let start = "qblockctl: Could not open '\(command[1])': Failed to get \"write\" lock: "
      #expect(outcome.errors.hasPrefix(start + "process \(stage.daemon.pid) (qblockd)"))
      #expect(outcome.errors.contains("[\(stage.directory.file(command[1]))]"))
      #expect(outcome.errors.contains(node), "\(outcome.errors)")
    }
    try stage.done("close", "disk")
    try stage.write("top", "write -P 4 0 30M")
    let slow = try stage.start("commit", "--json", "-r", "1M", "top")
    _ = slow.nextLine()
    let second = try stage.ctl("commit", "top")
    #expect(second.status == 1)
    #expect(second.errors.contains(", which job 'commit-"), "\(second.errors)")
  }

  @Test(
    "what somebody else writes to is read with -U alone", arguments: ["info", "map", "checksum"])
  func forceShare(command: String) throws {
    let stage = try stage()
    let holder = try ImageHolder("-f", "qcow2", stage.directory.file("top"))
    let refused = try stage.ctl(command, "top")
    #expect(refused.status == 1)
    #expect(refused.errors.contains("process \(holder.pid) (qemu-io)"))
    #expect(refused.errors.contains("-U (--force-share)"))
    try stage.done(command, "-U", "top")
    holder.release()
  }
}
