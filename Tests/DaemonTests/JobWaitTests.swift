import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

extension DaemonStage {
  fileprivate func completeSync(_ id: String, timeout: Int? = nil) -> JobCompleteSync {
    JobCompleteSync {
      $0.id = id
      $0.timeoutMilliseconds = timeout
    }
  }
}

@Test("job-complete-sync answers when the job has concluded, even one that dismisses itself")
func completeSyncSucceeds() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.readyCommit("j")
  let outcome = try stage.client.execute(stage.completeSync("j"))
  #expect(outcome.status == .concluded && outcome.error == nil)
  #expect(outcome.result?["bytes-copied"] == 131_072)
  #expect(outcome.result?["invalid-images"] == [.string(stage.path("middle"))])
  #expect(try stage.client.execute(QueryJobs()).isEmpty)
  // Who asks late gets the same answer.
  #expect(try stage.client.execute(stage.completeSync("j")) == outcome)
  try stage.stop()
  let same = try QemuTools.img("compare", stage.path("overlay"), stage.path("base"))
  #expect(same.status == 0, "\(same.output)")
}

@Test("job-complete-sync refuses a job that is not ready, and one that never is")
func completeSyncTooEarly() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.slowCommit("j")
  let early = try stage.refusal(of: stage.completeSync("j"))
  #expect(early.detail?.code == "busy")
  #expect(early.message == "Job 'j' in state 'running' cannot accept command verb 'complete'")
  try stage.client.execute(JobCancel { $0.id = "j" })
  try stage.wait("j")
  try stage.slowCommit("k") { ($0.topNode, $0.baseNode) = ("middle", "base") }
  let never = try stage.refusal(of: stage.completeSync("k"))
  #expect(never.message == "The active block job 'k' cannot be completed")
  #expect(try stage.refusal(of: stage.completeSync("zz")).message == "Job not found")
  try stage.stop()
}

@Test("job-complete-sync gives up at its timeout, and the job goes on")
func completeSyncTimesOut() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.readyCommit("j")
  try stage.client.execute(JobPause { $0.id = "j" })
  let late = try stage.refusal(of: stage.completeSync("j", timeout: 20))
  #expect(late.message == "Timed out waiting for job 'j'" && late.detail?.code == "busy")
  #expect(try stage.job("j").status == .standby)
  try stage.client.execute(JobResume { $0.id = "j" })
  #expect(try stage.wait("j").error == nil)
  try stage.stop()
}

@Test("job-complete-sync tells that the job was cancelled meanwhile")
func completeSyncCancelled() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.readyCommit("j")
  try stage.client.execute(JobPause { $0.id = "j" })
  let waiting = try MonitorSocket.negotiated(stage.daemon.socket)
  try waiting.send(#"{"execute": "job-complete-sync", "arguments": {"id": "j"}}"#)
  try stage.client.execute(JobCancel { $0.id = "j" })
  // Whichever of the two came first, this is how it ended.
  let answer = try waiting.nextAnswer()
  #expect(answer.errorSentence == "Operation canceled")
  #expect(answer["x-error"]?["code"] == "cancelled")
  try stage.stop()
}

@Test("job-complete-sync of a job that failed answers with its error")
func completeSyncFailed() throws {
  let stage = try DaemonStage(launcher: ["prlimit", "--fsize=8388608"])
  try stage.openLarge()
  try stage.client.execute(BlockCommit { ($0.jobID, $0.device) = ("j", "large") })
  let failure = try #require(try stage.wait("j").error)
  let refusal = try stage.refusal(of: stage.completeSync("j"))
  #expect(refusal.message == failure && refusal.detail?.errno == 27)
  #expect(refusal.detail?.code == "no-space")
  try stage.stop(checking: ["large"])
}

@Test("job-complete-sync leaves a job of auto-finalize=false pending")
func completeSyncPending() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.readyCommit("j") { $0.autoFinalize = false }
  let outcome = try stage.client.execute(stage.completeSync("j"))
  #expect(outcome == JobOutcome { $0.status = .pending })
  let phase = try stage.client.execute(QueryJobs()).first?.progress?.phase
  #expect(phase == "pending")
  try stage.client.execute(JobFinalize { $0.id = "j" })
  #expect(try stage.wait("j").status == .concluded)
  try stage.stop()
}

@Test("job-wait answers at its goal, at its timeout, and for a job that is gone")
func waitForJobs() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  #expect(try stage.refusal(of: JobWait { $0.id = "j" }).message == "Job not found")
  try stage.slowCommit("j")
  let late = try stage.refusal(
    of: JobWait {
      ($0.id, $0.until) = ("j", .ready)
      $0.timeoutMilliseconds = 0
    })
  #expect(late.message == "Timed out waiting for job 'j'")
  try stage.client.execute(BlockJobSetSpeed { ($0.device, $0.speed) = ("j", 0) })
  #expect(try stage.wait("j", until: .ready).status == .ready)
  // Ready is as far as it gets by itself.
  #expect(
    try stage.refusal(
      of: JobWait {
        $0.id = "j"
        $0.timeoutMilliseconds = 20
      }
    ).detail?.code == "busy")
  try stage.client.execute(JobComplete { $0.id = "j" })
  let end = try stage.wait("j")
  #expect(end.status == .concluded && end.error == nil)
  #expect(try stage.wait("j", until: .ready) == end)
  try stage.stop()
}
