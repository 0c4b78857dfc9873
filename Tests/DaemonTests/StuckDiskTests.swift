import Foundation
import QMP
import QMPClient
import TestSupport
import Testing

/// A daemon with two disks: one that answers, with the images of `ExampleImages`, and one that does
/// only while it is told to, with `top` over `bottom`.
///
/// Isolation: one test.
private final class StuckDisk {
  let disk: TemporaryDirectory
  let stage: DaemonStage
  private let control: TemporaryDirectory
  private let fifo: String
  private var open: Int32 = -1

  init(arguments: [String] = []) throws {
    disk = try TemporaryDirectory.inMemory()
    control = try TemporaryDirectory(in: "/tmp")
    fifo = control.file("fifo")
    try #require(mkfifo(fifo, 0o600) == 0)
    var recorder = TraceRecorder(disk, output: control.file("trace"))
    recorder.hold = fifo
    stage = try DaemonStage(arguments: arguments, launcher: recorder.launcher)
    let (top, bottom) = (disk.file("top"), disk.file("bottom"))
    for arguments in [
      ["create", "-q", "-f", "qcow2", bottom, "4M"],
      ["create", "-q", "-f", "qcow2", "-b", "bottom", "-F", "qcow2", top],
    ] {
      try #require(QemuTools.run("qemu-img", arguments).status == 0)
    }
    try #require(QemuTools.io(top, "write -P 5 0 1M").status == 0)
    answer()
    try stage.client.add("top", top)
  }

  deinit { close(open) }

  /// From now on the disk answers.
  func answer() { open = Glibc.open(fifo, O_RDWR | O_CLOEXEC) }

  /// From now on it does not. A commit of `top` hangs when this returns.
  func hang(in job: String) throws {
    close(open)
    open = -1
    let before = try calls()
    try stage.client.execute(
      BlockCommit { ($0.jobID, $0.device, $0.base) = (job, "top", disk.file("bottom")) })
    while try calls() == before { _ = try stage.client.execute(QueryJobs()) }
  }

  /// How many calls there have been to the disk; the trace has events, too.
  private func calls() throws -> Int {
    let trace = try control.read("trace")
    return trace.split(separator: UInt8(ascii: "\n")).count { $0.starts(with: "hold ".utf8) }
  }
}

@Test("A disk that does not answer holds up its own job only, which ends when it answers again")
func stuckDisk() throws {
  let disk = try StuckDisk()
  let stage = disk.stage
  try disk.hang(in: "stuck")
  let other = try stage.daemon.client()
  // Everything that can be asked is answered, and what is known of the node is told.
  for _ in 0..<10 {
    let nodes = try other.execute(QueryNamedBlockNodes())
    #expect(nodes.contains { $0.nodeName == "top" && $0.image.virtualSize == 4 << 20 })
    #expect(try other.execute(NodeInfoQuery { $0.node = "top" }).virtualSize == 4 << 20)
  }
  #expect(try other.execute(QueryBlockStats { $0.queryNodes = true }).count >= 4)
  #expect(try other.execute(QueryBlockJobs()).map(\.device) == ["stuck"])
  #expect(try other.execute(QueryBlockGraph()).nodes.contains { $0.name == "stuck" })
  // Other jobs run, from their start to the change of the graph, and other nodes come and go.
  try stage.openChain()
  try stage.readyCommit("other")
  try other.execute(JobComplete { $0.id = "other" })
  #expect(try stage.wait("other").error == nil)
  try other.remove("overlay")
  // A cancel is heard at once, and carried out when the call returns.
  try other.execute(JobCancel { $0.id = "stuck" })
  #expect(try other.execute(QueryJobs()).map(\.id) == ["stuck"])
  disk.answer()
  #expect(try stage.wait("stuck").error == "The job was cancelled")
  try stage.stop()
  #expect(try QemuTools.img("check", "-q", disk.disk.file("top")).status == 0)
}

@Test("The daemon ends though a disk does not answer, and says which job it leaves")
func stuckEnd() throws {
  let disk = try StuckDisk(arguments: ["--stop-time", "1"])
  try disk.hang(in: "stuck")
  try disk.stage.client.execute(Quit())
  #expect(disk.stage.daemon.waitForExit() == 1)
  #expect(disk.stage.daemon.output.contains("Job 'stuck' does not end"))
  #expect(!FileManager.default.fileExists(atPath: disk.stage.daemon.socket))
  #expect(try QemuTools.img("check", "-q", disk.disk.file("top")).status == 0)
}
