import Foundation
import JSONValue
import LoadTrials
import QMP
import QMPClient
import TestSupport
import Testing

@Test("Two clients see the same events in the same order, whoever asked")
func twoClientsSeeAllEvents() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  let other = try MonitorSocket.negotiated(stage.daemon.socket)
  try stage.readyCommit("j")
  try stage.client.execute(JobComplete { $0.id = "j" })
  let seen = try stage.events(until: .null, of: "j")
  #expect(
    seen == [
      "created", "running", "ready", "BLOCK_JOB_READY", "waiting", "pending",
      "BLOCK_JOB_COMPLETED", "concluded", "null",
    ])
  var seenByOther: [String] = []
  while seenByOther.last != "null" {
    let event = try other.event { _ in true }
    let name = event["data"]?["status"] ?? event["event"]
    seenByOther.append(name?.stringValue ?? "")
  }
  #expect(seenByOther == seen)
  try stage.stop()
}

@Test(
  "QEMU's Python client runs the whole cycle, while another client hears of it")
func pythonClient() throws {
  let stage = try DaemonStage()
  let script = Python.script("commit_cycle.py")
  let outcome = try QemuTools.run(
    try #require(Python.path),
    [script, stage.daemon.socket, stage.path("overlay"), stage.path("middle")])
  #expect(outcome.status == 0)
  #expect(
    outcome.output == """
      refused DeviceNotFound
      JOB_STATUS_CHANGE created
      JOB_STATUS_CHANGE running
      JOB_STATUS_CHANGE ready
      BLOCK_JOB_READY 65536
      jobs [('j', True)]
      JOB_STATUS_CHANGE waiting
      JOB_STATUS_CHANGE pending
      BLOCK_JOB_COMPLETED 65536
      JOB_STATUS_CHANGE concluded
      JOB_STATUS_CHANGE null
      left []

      """)
  #expect(try stage.events(until: .null, of: "j").count == 9)
  try stage.stop()
  let same = try QemuTools.io(stage.path("middle"), "read -P 0x33 128k 64k")
  #expect(same.status == 0, "\(same.output)")
}

@Test(
  "QEMU's shell, typed into at a terminal, runs the whole cycle")
func shell() throws {
  let stage = try DaemonStage()
  let python = try #require(Python.path)
  let shell = URL(fileURLWithPath: python).deletingLastPathComponent()
    .appendingPathComponent("qmp-shell").path
  let outcome = try QemuTools.run(
    python,
    [
      Python.script("shell_cycle.py"), shell, stage.daemon.socket, stage.path("middle"),
      stage.path("base"), stage.images.directory.path,
    ])
  #expect(
    outcome.output == """
      {'return': {}}
      {'return': {}}
      {'error': {'class': 'DeviceNotFound', 'desc': "Device 'nope' not found"}, \
      'x-error': {'code': 'not-found'}}
      {'return': {}}
      {'return': {}}
      {'return': {}} []
      {'return': {}} {'return': {}}
      0

      """)
  try stage.stop()
  let same = try QemuTools.io(stage.path("base"), "read -P 0x22 64k 64k")
  #expect(same.status == 0, "\(same.output)")
}

@Test("Clients that say nothing, say half a message, or never read, hold up nobody")
func silentClients() throws {
  let stage = try DaemonStage()
  let silent = try MonitorSocket(stage.daemon.socket)
  let half = try MonitorSocket.negotiated(stage.daemon.socket)
  try half.send(#"{"execute": "query-"#)
  let deaf = try stage.deafClient()
  try stage.openChain()
  try stage.readyCommit("j")
  let end = try stage.client.execute(JobCompleteSync { $0.id = "j" })
  #expect(end.status == .concluded)
  #expect(try half.answer(to: #"jobs"}"#)["return"] == [])
  #expect(try silent.next()["QMP"] != nil)
  withExtendedLifetime(deaf) {}
  try stage.stop()
}

@Test("A client that waits for a job holds up nobody, and its later commands wait with it")
func waitingClient() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.slowCommit("j")
  let waiting = try MonitorSocket.negotiated(stage.daemon.socket)
  try waiting.send(
    #"{"execute": "job-wait", "arguments": {"id": "j"}, "id": 1}{"execute": "query-jobs", "id": 2}"#
  )
  #expect(try stage.job("j").status == .running)
  try stage.client.execute(JobCancel { $0.id = "j" })
  let first = try waiting.nextAnswer()
  #expect(first["id"] == 1 && first["return"]?["error"] == "The job was cancelled")
  let second = try waiting.nextAnswer()
  #expect(second["id"] == 2 && second["return"] == [])
  try stage.stop()
}

@Test("A job goes on, and keeps its own nodes to its end, when the client that started it is gone")
func clientThatDies() throws {
  let stage = try DaemonStage()
  let dying = try stage.daemon.client()
  try dying.execute(
    BlockdevAdd(stage.node("overlay", over: stage.node("middle", over: nil))))
  try dying.execute(
    BlockCommit {
      ($0.jobID, $0.device) = ("j", "overlay")
      $0.autoComplete = true
      $0.ownNodes = ["overlay"]
      $0.speed = 100_000
    })
  dying.close()
  let outcome = try stage.wait("j")
  #expect(outcome.error == nil && outcome.result?["bytes-copied"] == 65_536)
  #expect(try stage.client.execute(QueryNamedBlockNodes()).isEmpty)
  try stage.stop()
}

extension DaemonStage {
  /// A client that has asked for more than the socket holds, and reads nothing of it.
  func deafClient() throws -> MonitorSocket {
    let deaf = try MonitorSocket.negotiated(daemon.socket)
    let one = #"{"execute": "query-commands"}"#
    try deaf.send(String(repeating: one, count: 1000))
    return deaf
  }
}

/// The Python that the tests run scripts with.
enum Python {
  /// The interpreter, which has `qemu.qmp`; nil when the environment names none.
  static var path: String? { ProcessInfo.processInfo.environment["QBLOCKD_PYTHON"] }

  /// The path of one of our scripts.
  static func script(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Scripts/\(name)").path
  }
}

@Test("jobs that wait for their speed hold no memory for copying")
func waitingJobs() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  for index in 0..<400 {
    try stage.client.execute(
      BlockChecksum {
        $0.node = "overlay"
        ($0.job.id, $0.job.speed) = ("j\(index)", 1)
      })
  }
  // What one buffer each would take.
  #expect(try DaemonUsage(of: stage.daemon.pid).residentKibibytes < 400 << 10)
}
