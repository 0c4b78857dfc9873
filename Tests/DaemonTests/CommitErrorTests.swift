import JSONValue
import QMP
import TestSupport
import Testing

/// What QEMU says where it says something else than we do; `protocol.md` has the reasons.
private enum QemuSays: Sendable {
  case same
  case other(String)
}

/// A call of `block-commit` on `t` over `m` over `b`, beside `r`, and what it is refused with.
private struct RefusedCommit: CustomTestStringConvertible, Sendable {
  var arguments: String
  var sentence: String
  var errorClass = "GenericError"
  var qemu = QemuSays.same

  var testDescription: String { arguments }

  var request: String { #"{"execute": "block-commit", "arguments": {\#(arguments)}}"# }
}

private let onT = #""job-id": "j", "device": "t""#

private let refusedCommits = [
  RefusedCommit(
    arguments: #""job-id": "j", "device": "nope""#, sentence: "Device 'nope' not found",
    errorClass: "DeviceNotFound"),
  RefusedCommit(
    arguments: #""job-id": "j", "device": "m""#, sentence: "Need a root block node"),
  RefusedCommit(
    arguments: #"\#(onT), "top-node": "zz""#,
    sentence: "Cannot find device='' nor node-name='zz'"),
  RefusedCommit(
    arguments: #"\#(onT), "base-node": "zz""#,
    sentence: "Cannot find device='' nor node-name='zz'"),
  RefusedCommit(
    arguments: #"\#(onT), "top-node": "r""#, sentence: "'r' is not in this backing file chain"),
  RefusedCommit(
    arguments: #"\#(onT), "top-node": "b", "base-node": "m""#,
    sentence: "'m' is not in this backing file chain"),
  RefusedCommit(arguments: #"\#(onT), "top": "bad""#, sentence: "Top image file bad not found"),
  RefusedCommit(
    arguments: #"\#(onT), "base": "bad""#, sentence: "Can't find 'bad' in the backing chain"),
  RefusedCommit(
    arguments: #"\#(onT), "top-node": "m", "base-node": "m""#,
    sentence: "cannot commit an image into itself"),
  RefusedCommit(
    arguments: #"\#(onT), "top-node": "b""#, sentence: "cannot commit an image into itself"),
  RefusedCommit(
    arguments: #""job-id": "j", "device": "r""#, sentence: "cannot commit an image into itself"),
  RefusedCommit(
    arguments: #"\#(onT), "top-node": "m", "top": "x""#,
    sentence: "'top-node' and 'top' are mutually exclusive"),
  RefusedCommit(
    arguments: #"\#(onT), "base-node": "b", "base": "x""#,
    sentence: "'base-node' and 'base' are mutually exclusive"),
  RefusedCommit(
    arguments: #"\#(onT), "backing-file": "x""#,
    sentence: "'backing-file' specified, but 'top' is the active layer"),
  RefusedCommit(
    arguments: #""job-id": "1bad id", "device": "t""#, sentence: "Invalid job ID '1bad id'"),
  RefusedCommit(
    arguments: #"\#(onT), "speed": -1"#,
    sentence: "Parameter 'speed' expects a non-negative value"),
  RefusedCommit(
    arguments: #"\#(onT), "filter-node-name": "m""#,
    sentence: "Duplicate nodes with node-name='m'"),
  RefusedCommit(
    arguments: #"\#(onT), "filter-node-name": "\u0023x""#, sentence: "Invalid node-name: '#x'"),
  RefusedCommit(arguments: #""job-id": "j""#, sentence: "Parameter 'device' is missing"),
  RefusedCommit(
    arguments: #""job-id": "j", "device": 1"#,
    sentence: "Invalid parameter type for 'device', expected: string"),
  RefusedCommit(
    arguments: #"\#(onT), "bogus": 1"#, sentence: "Parameter 'bogus' is unexpected"),
  RefusedCommit(
    arguments: #"\#(onT), "on-error": "zzz""#,
    sentence: "Parameter 'on-error' does not accept value 'zzz'"),
]

/// Calls that meet the job `j0`, ready on the same chain.
private let refusedBesideJob = [
  RefusedCommit(
    arguments: #""job-id": "j1", "device": "t""#,
    sentence: "Node 't' is busy: block device is in use by block job: commit; wait for job 'j0' "
      + "(job-wait), or end it (job-complete, job-cancel)",
    qemu: .other("Need a root block node")),
  RefusedCommit(
    arguments: #""job-id": "j0", "device": "u""#, sentence: "Job ID 'j0' already in use"),
]

/// Only ours.
private let refusedExtensions = [
  RefusedCommit(
    arguments: #"\#(onT), "x-base-depth": 0"#,
    sentence: "Parameter 'x-base-depth' expects a value from 1"),
  RefusedCommit(
    arguments: #"\#(onT), "x-base-depth": 3"#, sentence: "Only 2 images lie below top, not 3"),
  RefusedCommit(
    arguments: #"\#(onT), "x-base-depth": 1, "base-node": "b""#,
    sentence: "'x-base-depth' and 'base' or 'base-node' are mutually exclusive"),
  RefusedCommit(
    arguments: #""job-id": "j", "device": "r", "x-base-depth": 1"#,
    sentence: "Image does not have a backing file"),
  RefusedCommit(
    arguments: #"\#(onT), "top-node": "m", "x-make-empty": true"#,
    sentence: "Only an active layer can be emptied after a commit"),
  RefusedCommit(
    arguments: #"\#(onT), "base-node": "b", "x-make-empty": true"#,
    sentence: "The top is emptied only after a commit into the image directly under it"),
  // Nodes of the host are no chain that anything could be committed in.
  RefusedCommit(
    arguments: #""job-id": "j", "device": "rf""#, sentence: "Need a root block node"),
]

@Test("What is wrong with a commit is refused in QEMU's words, before any job or write")
func refusedCommitsAreRefused() throws {
  let images = try ExampleImages()
  let daemon = try DaemonProcess.start()
  let ours = try MonitorSocket.negotiated(daemon.socket)
  try images.openForErrors(ours)
  for commit in refusedCommits + refusedExtensions {
    let answer = try ours.answer(to: commit.request)
    #expect(answer.errorClass == commit.errorClass, "\(commit.arguments)")
    #expect(answer.errorSentence == commit.sentence, "\(commit.arguments)")
  }
  #expect(try ours.answer(to: #"{"execute": "query-jobs"}"#)["return"] == [])
  try images.startReady(ours)
  for commit in refusedBesideJob {
    let answer = try ours.answer(to: commit.request)
    #expect(answer.errorSentence == commit.sentence, "\(commit.arguments)")
  }
  #expect(daemon.stop() == 0)
}

@Test("QEMU refuses the same commits with the same words, except where protocol.md says so")
func refusedCommitsLikeQemu() throws {
  let images = try ExampleImages()
  let oracle = try QemuDaemon()
  let qemu = oracle.monitor
  try images.openForErrors(qemu)
  func check(_ commit: RefusedCommit) throws {
    let answer = try qemu.answer(to: commit.request)
    #expect(answer.errorClass == commit.errorClass, "\(commit.arguments)")
    let sentence = if case .other(let sentence) = commit.qemu { sentence } else { commit.sentence }
    #expect(answer.errorSentence == sentence, "\(commit.arguments)")
  }
  for commit in refusedCommits { try check(commit) }
  try images.startReady(qemu)
  for commit in refusedBesideJob { try check(commit) }
}

extension ExampleImages {
  /// Opens `t` over `m` over `b`, the chain of images; `u` over `v`, another one; and `r`.
  fileprivate func openForErrors(_ monitor: MonitorSocket) throws {
    func node(_ name: String, _ file: String, _ driver: String, _ rest: String) -> String {
      let path = directory.file(file)
      let inner = #"{"driver": "file", "node-name": "\#(name)f", "filename": "\#(path)"}"#
      return #"{"driver": "\#(driver)", "node-name": "\#(name)", "file": \#(inner)\#(rest)}"#
    }
    func over(_ node: String) -> String { #", "backing": \#(node)"# }
    let b = node("b", "base.qcow2", "qcow2", "")
    let t = node(
      "t", "overlay.qcow2", "qcow2", over(node("m", "middle.qcow2", "qcow2", over(b))))
    let r = node("r", "disk.raw", "raw", "")
    let u = node("u", "other.qcow2", "qcow2", over(node("v", "lowest.qcow2", "qcow2", "")))
    for name in ["other.qcow2", "lowest.qcow2"] {
      try QemuTools.img("create", "-q", "-f", "qcow2", directory.file(name), "1M")
    }
    for arguments in [t, r, u] {
      let answer = try monitor.answer(
        to: #"{"execute": "blockdev-add", "arguments": \#(arguments)}"#)
      guard answer["return"] != nil else { throw Failure(output: answer.errorSentence ?? "") }
    }
  }

  /// Starts `j0`, an active commit of `t`, and returns when it is ready.
  fileprivate func startReady(_ monitor: MonitorSocket) throws {
    try monitor.send(
      #"{"execute": "block-commit", "arguments": {"job-id": "j0", "device": "t"}}"#)
    _ = try monitor.event { $0["event"] == "BLOCK_JOB_READY" }
    _ = try monitor.nextAnswer()
  }
}
