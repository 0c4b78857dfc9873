import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

private let enable =
  #"{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}"#

/// A message, and the sentence that answers it.
private typealias Refusal = (text: String, sentence: String)

private let beforeEnabling: [Refusal] = [
  (#"{"exec-oob": "query-jobs"}"#, "QMP input member 'exec-oob' is unexpected"),
  (
    #"{"execute": "qmp_capabilities", "arguments": {"enable": "oob"}}"#,
    "Invalid parameter type for 'enable', expected: array"
  ),
  (
    #"{"execute": "qmp_capabilities", "arguments": {"enable": [1]}}"#,
    "Invalid parameter type for 'enable[0]', expected: string"
  ),
]

private let afterEnabling: [Refusal] = [
  (#"{"exec-oob": 1}"#, "QMP input member 'exec-oob' must be a string"),
  (
    #"{"exec-oob": "query-jobs", "execute": "query-jobs"}"#,
    "QMP input member 'execute' clashes with 'exec-oob'"
  ),
  (
    #"{"execute": "query-jobs", "exec-oob": "query-jobs"}"#,
    "QMP input member 'execute' clashes with 'exec-oob'"
  ),
  (#"{"exec-oob": "nope"}"#, "The command nope has not been found"),
  (#"{"exec-oob": "blockdev-add"}"#, "The command blockdev-add does not support OOB"),
  (#"{"exec-oob": "job-pause"}"#, "The command job-pause does not support OOB"),
  (#"{"exec-oob": "qmp_capabilities"}"#, "The command qmp_capabilities does not support OOB"),
  (
    #"{"exec-oob": "query-jobs", "arguments": 1}"#,
    "QMP input member 'arguments' must be an object"
  ),
  (#"{"exec-oob": "query-jobs", "foo": 1}"#, "QMP input member 'foo' is unexpected"),
]

@Test("Out-of-band commands are refused in QEMU's words, and QEMU says the same")
func refusedOutOfBand() throws {
  let daemon = try DaemonProcess.start()
  let ours = try MonitorSocket(daemon.socket)
  let oracle = try QemuDaemon(isNegotiated: false)
  for monitor in [ours, oracle.monitor] {
    #expect(try monitor.next()["QMP"]?["capabilities"] == ["oob"])
    for refusal in beforeEnabling {
      #expect(try monitor.answer(to: refusal.text).errorSentence == refusal.sentence)
    }
    #expect(try monitor.answer(to: enable)["return"] == [:])
    for refusal in afterEnabling {
      #expect(try monitor.answer(to: refusal.text).errorSentence == refusal.sentence)
    }
  }
  #expect(try ours.answer(to: #"{"exec-oob": "query-jobs", "id": 1}"#)["return"] == [])
}

@Test("A session that waits for a job answers out of band at once, and cancels it so")
func outOfBandWhileWaiting() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  let monitor = try MonitorSocket(stage.daemon.socket)
  _ = try monitor.next()
  #expect(try monitor.answer(to: enable)["return"] == [:])
  try stage.slowCommit("j")
  try monitor.send(#"{"execute": "job-wait", "arguments": {"id": "j"}, "id": "wait"}"#)
  // These come later, and have to wait for it.
  try monitor.send(#"{"execute": "query-version", "id": "later"}{"execute": 1, "id": "bad"}"#)
  let jobs = try monitor.answer(to: #"{"exec-oob": "query-jobs", "id": "jobs"}"#)
  #expect(jobs["id"] == "jobs" && jobs["return"]?[0]?["status"] == "running")
  let cancel = #"{"exec-oob": "job-cancel", "arguments": {"id": "j"}, "id": "cancel"}"#
  #expect(try monitor.answer(to: cancel)["id"] == "cancel")
  let ids = try (0..<3).map { _ in try monitor.nextAnswer()["id"] }
  #expect(ids == ["wait", "later", "bad"])
  try stage.stop()
}

@Test("Behind a command that waits only a few messages are taken, and none is lost")
func boundedOutOfBand() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  let monitor = try MonitorSocket(stage.daemon.socket)
  _ = try monitor.next()
  try monitor.send(enable)
  _ = try monitor.nextAnswer()
  try stage.slowCommit("j")
  try monitor.send(#"{"execute": "job-wait", "arguments": {"id": "j"}, "id": 0}"#)
  // In one piece: the server does not read it all, and small pieces would fill the socket.
  let pairs = (1...2000).map {
    #"{"execute": "query-jobs", "id": \#($0)}{"exec-oob": "query-jobs"}"#
  }
  try monitor.send(pairs.joined())
  // The eighth fills the queue: what lies behind it, out of band or not, is not read.
  for _ in 1..<8 { #expect(try monitor.nextAnswer()["id"] == nil) }
  try stage.client.execute(JobCancel { $0.id = "j" })
  var ids: [Int] = []
  var others = 7
  while ids.count < 2001 || others < 2000 {
    if let id = try monitor.nextAnswer()["id"]?.integerValue { ids.append(id) } else { others += 1 }
  }
  #expect(ids == Array(0...2000))
  try stage.stop()
}

@Test("On the read-only socket queries go out of band, and nothing else")
func readOnlyOutOfBand() throws {
  let directory = try TemporaryDirectory()
  let socket = directory.file("queries.sock")
  let daemon = try DaemonProcess.start(arguments: ["--socket-readonly", socket])
  let monitor = try MonitorSocket(socket)
  _ = try monitor.next()
  #expect(try monitor.answer(to: enable)["return"] == [:])
  #expect(try monitor.answer(to: #"{"exec-oob": "query-jobs"}"#)["return"] == [])
  let cancel = #"{"exec-oob": "job-cancel", "arguments": {"id": "j"}}"#
  #expect(try monitor.answer(to: cancel).errorClass == "CommandNotFound")
  #expect(daemon.stop() == 0)
}
