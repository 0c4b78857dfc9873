import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

/// The verbs, by their newer and older commands.
private enum Verb: CaseIterable {
  case cancel, pause, resume, complete, finalize, dismiss, setSpeed

  /// Its name in refusals.
  var name: String { self == .setSpeed ? "set-speed" : "\(self)" }

  /// Asks for it, by every command that there is.
  func refusals(_ stage: DaemonStage, _ id: String) throws -> [QMPError] {
    switch self {
    case .cancel:
      [
        try stage.refusal(of: JobCancel { $0.id = id }),
        try stage.refusal(of: BlockJobCancel { ($0.device, $0.force) = (id, true) }),
      ]
    case .pause:
      [
        try stage.refusal(of: JobPause { $0.id = id }),
        try stage.refusal(of: BlockJobPause { $0.device = id }),
      ]
    case .resume:
      [
        try stage.refusal(of: JobResume { $0.id = id }),
        try stage.refusal(of: BlockJobResume { $0.device = id }),
      ]
    case .complete:
      [
        try stage.refusal(of: JobComplete { $0.id = id }),
        try stage.refusal(of: BlockJobComplete { $0.device = id }),
      ]
    case .finalize:
      [
        try stage.refusal(of: JobFinalize { $0.id = id }),
        try stage.refusal(of: BlockJobFinalize { $0.id = id }),
      ]
    case .dismiss:
      [
        try stage.refusal(of: JobDismiss { $0.id = id }),
        try stage.refusal(of: BlockJobDismiss { $0.id = id }),
      ]
    case .setSpeed: [try stage.refusal(of: BlockJobSetSpeed { $0.device = id })]
    }
  }
}

@Test("A verb that a state does not allow is refused with the state's name")
func verbsInWrongStates() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  func check(_ status: QMP.JobStatus, refuses verbs: [Verb]) throws {
    #expect(try stage.job("j").status == status)
    for verb in verbs {
      // Where nobody has paused the job, that is what is wrong with a resume in any state.
      let sentence =
        verb == .resume
        ? "Can't resume a job that was not paused"
        : "Job 'j' in state '\(status.rawValue)' cannot accept command verb '\(verb.name)'"
      for refusal in try verb.refusals(stage, "j") { #expect(refusal.message == sentence) }
    }
    // Nothing has changed by it.
    #expect(try stage.job("j").status == status)
  }
  try stage.slowCommit("j") { ($0.autoFinalize, $0.autoDismiss) = (false, false) }
  try check(.running, refuses: [.complete, .finalize, .dismiss])
  try stage.client.execute(JobPause { $0.id = "j" })
  _ = try stage.events(until: .paused, of: "j")
  try check(.paused, refuses: [.complete, .finalize, .dismiss])
  try stage.client.execute(JobResume { $0.id = "j" })
  try stage.client.execute(BlockJobSetSpeed { ($0.device, $0.speed) = ("j", 0) })
  try stage.wait("j", until: .ready)
  try check(.ready, refuses: [.finalize, .dismiss])
  try stage.client.execute(JobPause { $0.id = "j" })
  _ = try stage.events(until: .standby, of: "j")
  try check(.standby, refuses: [.finalize, .dismiss])
  try stage.client.execute(JobComplete { $0.id = "j" })
  try stage.client.execute(JobResume { $0.id = "j" })
  _ = try stage.events(until: .pending, of: "j")
  try check(.pending, refuses: [.pause, .resume, .complete, .dismiss, .setSpeed])
  try stage.client.execute(JobFinalize { $0.id = "j" })
  _ = try stage.events(until: .concluded, of: "j")
  try check(.concluded, refuses: [.cancel, .pause, .resume, .complete, .finalize, .setSpeed])
  try stage.client.execute(JobDismiss { $0.id = "j" })
  for refusal in try Verb.allCases.flatMap({ try $0.refusals(stage, "j") }) {
    #expect(
      refusal.errorClass == .deviceNotActive && refusal.message == "Block job 'j' not found"
        || refusal.errorClass == .genericError && refusal.message == "Job not found")
  }
  try stage.stop()
}

@Test("Pausing twice, resuming what runs, and soft cancel of a paused job are refused")
func pauseAndResume() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.readyCommit("j")
  #expect(
    try stage.refusal(of: JobResume { $0.id = "j" }).message
      == "Can't resume a job that was not paused")
  try stage.client.execute(JobPause { $0.id = "j" })
  #expect(try stage.refusal(of: JobPause { $0.id = "j" }).message == "Job is already paused")
  #expect(
    try stage.refusal(of: BlockJobCancel { $0.device = "j" }).message
      == "The block job for device 'j' is currently paused")
  try stage.client.execute(JobCancel { $0.id = "j" })
  let seen = try stage.events(until: .null, of: "j")
  #expect(
    seen.suffix(6) == [
      "standby", "ready", "aborting", "BLOCK_JOB_CANCELLED", "concluded", "null",
    ])
  try stage.stop()
}

@Test("Older commands do not know jobs that are no block jobs")
func otherJobs() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.client.execute(
    BlockChecksum {
      ($0.job.id, $0.node) = ("sum", "overlay")
      $0.job.autoDismiss = false
    })
  try stage.wait("sum")
  #expect(try stage.client.execute(QueryBlockJobs()).isEmpty)
  let refusal = try stage.refusal(of: BlockJobDismiss { $0.id = "sum" })
  #expect(refusal.errorClass == .deviceNotActive)
  // All its events are changes of state.
  try stage.client.execute(JobDismiss { $0.id = "sum" })
  let seen = try stage.events(until: .null, of: "sum")
  #expect(seen == ["created", "running", "waiting", "pending", "concluded", "null"])
  try stage.stop()
}

@Test("A soft cancel ends a ready job like a success: base is a copy, top stays as it is")
func softCancel() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.readyCommit("j")
  try stage.client.execute(BlockJobCancel { $0.device = "j" })
  let seen = try stage.events(until: .null, of: "j")
  #expect(
    seen.suffix(5) == ["waiting", "pending", "BLOCK_JOB_COMPLETED", "concluded", "null"])
  #expect(try stage.wait("j").error == nil)
  let info = try stage.client.execute(NodeInfoQuery { $0.node = "overlay" })
  #expect(info.backingNode == "middle")
  try stage.stop()
  let same = try QemuTools.img("compare", stage.path("overlay"), stage.path("base"))
  #expect(same.status == 0, "\(same.output)")
}

@Test(
  "A forced cancel ends a job at once, and everything reads as before", arguments: [true, false])
func forcedCancel(_ isReady: Bool) throws {
  let stage = try DaemonStage()
  try QemuTools.img(
    "convert", "-q", "-O", "raw", stage.path("overlay"), stage.images.directory.file("before"))
  try stage.openChain()
  if isReady { try stage.readyCommit("j") } else { try stage.slowCommit("j") }
  try stage.client.execute(BlockJobCancel { ($0.device, $0.force) = ("j", true) })
  let seen = try stage.events(until: .null, of: "j")
  #expect(seen.suffix(4) == ["aborting", "BLOCK_JOB_CANCELLED", "concluded", "null"])
  #expect(try stage.wait("j").error == "The job was cancelled")
  try stage.stop()
  let same = try QemuTools.img(
    "compare", "-f", "qcow2", "-F", "raw", stage.path("overlay"),
    stage.images.directory.file("before"))
  #expect(same.status == 0, "\(same.output)")
}

@Test("A pending job can be cancelled: base has the data, the graph stays")
func cancelPending() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.readyCommit("j") { $0.autoFinalize = false }
  try stage.client.execute(JobComplete { $0.id = "j" })
  let seen = try stage.events(until: .pending, of: "j")
  #expect(seen.last == "pending")
  try stage.client.execute(JobCancel { $0.id = "j" })
  let end = try stage.events(until: .null, of: "j")
  #expect(
    end == ["BLOCK_JOB_PENDING", "aborting", "BLOCK_JOB_CANCELLED", "concluded", "null"])
  try stage.stop()
}

@Test("Without auto-dismiss a failed job stays with its error, and holds no node")
func failedJobStays() throws {
  let stage = try DaemonStage(launcher: ["prlimit", "--fsize=8388608"])
  try stage.openLarge()
  let commit = BlockCommit {
    ($0.jobID, $0.device) = ("j", "large")
    $0.autoDismiss = false
  }
  try stage.client.execute(commit)
  let seen = try stage.events(until: .concluded, of: "j")
  #expect(
    seen == [
      "created", "running", "BLOCK_JOB_ERROR", "aborting", "BLOCK_JOB_COMPLETED", "concluded",
    ])
  let error = try #require(try stage.job("j").error)
  #expect(error.contains("File too large"))
  #expect(try stage.wait("j").error == error)
  let block = try #require(try stage.client.execute(QueryBlockJobs()).first)
  #expect(block.error == error && block.status == .concluded && !block.autoDismiss)
  try stage.client.execute(BlockdevDel { $0.nodeName = "large" })
  try stage.client.execute(JobDismiss { $0.id = "j" })
  #expect(try stage.client.execute(QueryJobs()).isEmpty)
  try stage.stop(checking: ["large"])
}

@Test("A job that stops for lack of space goes on where there is some")
func stopAndResume() throws {
  let stage = try DaemonStage()
  try stage.openLarge()
  try QemuTools.limitFileSize(of: stage.daemon.pid, to: "8388608")
  try stage.client.execute(
    BlockCommit {
      ($0.jobID, $0.device, $0.onError) = ("j", "large", .stop)
      $0.autoComplete = true
    })
  _ = try stage.events(until: .paused, of: "j")
  let stopped = try #require(try stage.client.execute(QueryBlockJobs()).first)
  #expect(stopped.ioStatus == .failed && stopped.paused)
  try QemuTools.limitFileSize(of: stage.daemon.pid, to: "unlimited")
  try stage.client.execute(JobResume { $0.id = "j" })
  #expect(try stage.wait("j").error == nil)
  try stage.stop(checking: ["large"])
  let same = try QemuTools.img(
    "compare", "-f", "qcow2", "-F", "raw", stage.path("large"),
    stage.images.directory.file("disk.raw"))
  #expect(same.status == 0, "\(same.output)")
}

extension QemuTools {
  /// Sets the largest size that process `pid` may give a file.
  fileprivate static func limitFileSize(of pid: Int32, to limit: String) throws {
    let outcome = try run("prlimit", ["--pid", "\(pid)", "--fsize=\(limit):unlimited"])
    #expect(outcome.status == 0, "\(outcome.output)")
  }
}

@Test(
  "who ends a pending job may dismiss it, and remove its node, with the next command",
  arguments: [true, false], [true, false])
func endOfPendingJob(isFinalized: Bool, isActive: Bool) throws {
  let stage = try DaemonStage()
  for _ in 0..<8 {
    try stage.openChain()
    try stage.commit("j") {
      ($0.autoFinalize, $0.autoDismiss) = (false, false)
      if !isActive { ($0.topNode, $0.baseNode) = ("middle", "base") }
    }
    if isActive {
      try stage.wait("j", until: .ready)
      try stage.client.execute(JobComplete { $0.id = "j" })
    }
    while try stage.job("j").status != .pending {}
    if isFinalized {
      try stage.client.execute(JobFinalize { $0.id = "j" })
    } else {
      try stage.client.execute(JobCancel { $0.id = "j" })
    }
    try stage.client.execute(JobDismiss { $0.id = "j" })
    try stage.client.remove("overlay")
  }
}
