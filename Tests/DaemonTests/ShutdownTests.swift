import Foundation
import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

@Test("SIGTERM cancels a running job, tells its clients, leaves clean images without locks")
func terminate() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.slowCommit("running")
  kill(stage.daemon.pid, SIGTERM)
  var names: [String] = []
  #expect(throws: QMPClientError.connectionLost(errno: nil)) {
    while let event = try stage.client.nextEvent(timeout: .seconds(20)) {
      names.append(event.name)
      if let shutdown = try event.payload(as: Shutdown.self) {
        #expect(shutdown.reason == .hostSignal && !shutdown.guest)
      }
    }
  }
  #expect(names.contains("SHUTDOWN") && names.contains("BLOCK_JOB_CANCELLED"))
  #expect(stage.daemon.waitForExit() == 0)
  try stage.stop()
  for name in ["base", "middle", "overlay"] {
    // Opening for writing takes every lock.
    let open = try QemuTools.io(stage.path(name), "flush")
    #expect(open.status == 0, "\(open.output)")
  }
}

@Test(
  "SIGINT ends the daemon as SIGTERM does, with a job in any state",
  arguments: [
    JobStatus.ready, .standby, .paused, .pending, .concluded,
  ])
func interrupt(_ status: QMP.JobStatus) throws {
  let stage = try DaemonStage()
  try stage.openChain()
  switch status {
  case .paused:
    try stage.slowCommit("j")
    try stage.client.execute(JobPause { $0.id = "j" })
  case .standby:
    try stage.readyCommit("j")
    try stage.client.execute(JobPause { $0.id = "j" })
  case .pending, .concluded:
    try stage.readyCommit("j") {
      $0.autoFinalize = status == .concluded
      $0.autoDismiss = false
    }
    try stage.client.execute(JobComplete { $0.id = "j" })
  default: try stage.readyCommit("j")
  }
  _ = try stage.events(until: status, of: "j")
  kill(stage.daemon.pid, SIGINT)
  #expect(stage.daemon.waitForExit() == 0)
  try stage.stop()
}

@Test("A second signal ends the daemon at once")
func secondSignal() throws {
  let stage = try DaemonStage()
  // While somebody does not read what is sent, the first signal has not done its work.
  let deaf = try stage.deafClient()
  // All that the deaf client sent is read, or waits until it reads, before this is answered.
  try stage.openChain()
  kill(stage.daemon.pid, SIGTERM)
  while try stage.client.nextEvent()?.name != "SHUTDOWN" {}
  kill(stage.daemon.pid, SIGTERM)
  #expect(stage.daemon.waitForExit() == 128 + SIGTERM)
  withExtendedLifetime(deaf) {}
}

@Test("quit is answered, and then everything ends as with a signal")
func quit() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.slowCommit("j")
  let other = try MonitorSocket.negotiated(stage.daemon.socket)
  try stage.client.execute(Quit())
  let event = try other.event { $0["event"] == "SHUTDOWN" }
  #expect(event["data"] == ["guest": false, "reason": "host-qmp-quit"])
  #expect(throws: MonitorSocket.Failure.closed) { while true { _ = try other.next() } }
  #expect(stage.daemon.waitForExit() == 0)
  #expect(!FileManager.default.fileExists(atPath: stage.daemon.socket))
  try stage.stop()
}
