import QMP
import QMPClient
import TestSupport
import Testing

@Test("What a job is in the way of names the job; when it is concluded it holds nothing but its id")
func jobInTheWay() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.readyCommit("j") { $0.autoDismiss = false }
  // QEMU's words, and what to do.
  let sentence =
    "Node 'overlay' is busy: block device is in use by block job: commit; wait for job 'j' "
    + "(job-wait), or end it (job-complete, job-cancel)"
  let commit = BlockCommit { ($0.jobID, $0.device) = ("k", "overlay") }
  for refusal in [
    try stage.refusal(of: commit),
    try stage.refusal(of: BlockdevDel { $0.nodeName = "overlay" }),
    try stage.refusal(of: BlockResize { ($0.nodeName, $0.size) = ("overlay", 1 << 24) }),
    try stage.refusal(of: BlockdevSnapshot { ($0.node, $0.overlay) = ("overlay", "base") }),
    try stage.refusal(
      of: BlockdevReopen { $0.options = [stage.node("overlay", over: nil)] }),
  ] {
    #expect(refusal.message == sentence)
    #expect(refusal.detail?.code == "busy" && refusal.detail?.job == "j")
  }
  try stage.client.execute(JobCancel { $0.id = "j" })
  try stage.wait("j")
  #expect(try stage.job("j").status == .concluded)
  let again = try stage.refusal(of: BlockCommit { ($0.jobID, $0.device) = ("j", "overlay") })
  #expect(again.message == "Job ID 'j' already in use" && again.detail?.job == "j")
  // QEMU would say "Need a root block node".
  try stage.client.execute(commit)
  #expect(try stage.wait("k", until: .ready).status == .ready)
  try stage.client.execute(JobCancel { $0.id = "k" })
  try stage.wait("k")
  try stage.client.execute(JobDismiss { $0.id = "j" })
  try stage.stop()
}
