import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

@Test("Jobs that are gone stay readable, also when their ids are used again")
func pastJobs() throws {
  let stage = try DaemonStage(arguments: ["--job-history", "2"])
  try stage.openChain()
  func checksum(_ id: String, _ node: String) throws {
    try stage.client.execute(
      BlockChecksum {
        $0.job.id = id
        $0.node = node
      })
    try stage.wait(id)
    _ = try stage.events(until: .null, of: id)
  }
  try checksum("first", "overlay")
  try checksum("again", "base")
  try stage.slowCommit("again")
  try stage.client.execute(JobCancel { $0.id = "again" })
  _ = try stage.events(until: .null, of: "again")
  let past = try stage.client.execute(QueryJobHistory())
  #expect(past.map(\.id) == ["again", "again"] && past.map(\.type) == [.checksum, .commit])
  #expect(past[0].bytes == 4 << 20 && past[0].error == nil)
  #expect(past[0].result?["algorithm"] == "sha256")
  #expect(past[1].error == "The job was cancelled")
  #expect(try stage.client.execute(QueryJobHistory { $0.id = "first" }).isEmpty)
  try stage.stop()
}

@Test("A failed job is remembered with its error and what stands behind it")
func pastFailure() throws {
  let stage = try DaemonStage(launcher: ["prlimit", "--fsize=8388608"])
  try stage.openLarge()
  try stage.client.execute(
    BlockCommit {
      ($0.jobID, $0.device) = ("j", "large")
      $0.autoComplete = true
    })
  #expect(try stage.wait("j").error != nil)
  _ = try stage.events(until: .null, of: "j")
  let past = try #require(try stage.client.execute(QueryJobHistory()).first)
  #expect(past.id == "j" && past.error != nil && past.errorDetail?.code == "no-space")
  try stage.stop(checking: [])
}
