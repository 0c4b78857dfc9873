import Foundation
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

  @Test("a check of what somebody else writes to needs -U, and then repairs nothing")
  func checkForceShare() throws {
    let stage = try stage()
    let holder = try ImageHolder("-f", "qcow2", stage.directory.file("top"))
    #expect(try stage.ctl("check", "top").status == 1)
    #expect(try stage.done("check", "-U", "top").hasPrefix("No errors were found on the image.\n"))
    let repair = try stage.ctl("check", "-U", "-r", "all", "top")
    #expect(repair.status == 1)
    #expect(repair.errors.contains("cannot be repaired"))
    holder.release()
  }

  @Test("what the daemon has open for writing can be checked with -U, through its own node")
  func checkOpen() throws {
    let stage = try stage()
    try stage.done("open", "-n", "disk", "top")
    #expect(try stage.done("check", "-U", "top").hasPrefix("No errors were found on the image.\n"))
    try stage.done("close", "disk")
  }

  @Test("info tells of one image whatever becomes of those below, and of all when asked")
  func infoAlone() throws {
    let stage = try stage()
    let holder = try ImageHolder("-f", "qcow2", stage.directory.file("base"))
    let own = try stage.done("info", "top")
    #expect(own.hasPrefix("image: top\n"))
    #expect(try stage.ctl("info", "--backing-chain", "top").status == 1)
    holder.release()
    let chain = try stage.done("info", "--backing-chain", "top")
    #expect(chain.hasPrefix(own + "\nimage: "))
    let files = chain.split(separator: "\n").filter { $0.hasPrefix("image: ") }
    let names = files.map { String($0.split(separator: "/").last ?? "") }
    #expect(names == ["image: top", "image: mid", "image: base"])
    try FileManager.default.removeItem(atPath: stage.directory.file("base"))
    #expect(try stage.done("info", "top") == own)
    let missing = try stage.ctl("info", "--backing-chain", "top")
    #expect(missing.status == 1)
    #expect(missing.errors.contains("base"))
  }
}
