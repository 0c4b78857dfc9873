import Foundation
import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

@Test("A client too many is turned away, and the next one is served when another has gone")
func maximumOfClients() throws {
  let daemon = try DaemonProcess.start(arguments: ["--max-clients", "2"])
  let first = try MonitorSocket.negotiated(daemon.socket)
  let second = try MonitorSocket(daemon.socket)
  #expect(try second.next()["QMP"] != nil)
  for _ in 0..<3 {
    let turnedAway = try MonitorSocket(daemon.socket)
    #expect(throws: MonitorSocket.Failure.closed) { try turnedAway.next() }
  }
  second.endSending()
  #expect(throws: MonitorSocket.Failure.closed) { try second.next() }
  // The second one has its end before the daemon has done with it; the first one's answer comes
  // after that.
  #expect(try first.answer(to: #"{"execute": "query-jobs"}"#)["return"] == [])
  let third = try MonitorSocket.negotiated(daemon.socket)
  #expect(try third.answer(to: #"{"execute": "query-jobs"}"#)["return"] == [])
  #expect(daemon.stop() == 0)
  let lines = daemon.output.split(separator: "\n").filter { $0.contains("turned away") }
  #expect(lines.count == 1, "told once, not for each: \(lines)")
}

@Test("113: with --allow-uid and --allow-gid only those users and groups are served")
func allowedUsers() throws {
  let (user, group) = ("\(geteuid())", "\(getegid())")
  let (otherUser, otherGroup) = ("\(geteuid() + 1)", "\(getegid() + 1)")
  let cases: [([String], isServed: Bool)] = [
    (["--allow-uid", user], true), (["--allow-uid", otherUser], false),
    (["--allow-gid", group], true), (["--allow-gid", otherGroup], false),
    (["--allow-uid", otherUser, "--allow-gid", group], true),
    (["--allow-uid", otherUser, "--allow-uid", user], true),
    (["--allow-uid", otherUser, "--allow-gid", otherGroup], false),
  ]
  for (arguments, isServed) in cases {
    let daemon = try DaemonProcess.start(arguments: arguments)
    let monitor = try MonitorSocket(daemon.socket)
    if isServed {
      #expect(try monitor.next()["QMP"] != nil, "\(arguments)")
    } else {
      #expect(throws: MonitorSocket.Failure.closed, "\(arguments)") { try monitor.next() }
    }
    #expect(daemon.stop() == 0)
    #expect(daemon.output.contains("Client turned away: user \(user), group \(group)") != isServed)
  }
}

@Test("On the read-only socket there are queries and events, and nothing else")
func readOnlySocket() throws {
  let directory = try TemporaryDirectory(in: "/tmp")
  let path = directory.file("query.sock")
  let stage = try DaemonStage(arguments: ["--socket-readonly", path])
  try stage.openChain()
  let watcher = try MonitorSocket.negotiated(path)
  for command in CommandCatalog.all.map({ $0.name }) where command != QMPCapabilities.name {
    let answer = try watcher.answer(to: #"{"execute": "\#(command)"}"#)
    if command.contains("query-") {
      #expect(answer["return"] != nil, "\(command)")
    } else {
      #expect(answer.errorClass == "CommandNotFound", "\(command)")
      #expect(
        answer.errorSentence == "The command \(command) is not available on the read-only socket")
    }
  }
  try stage.readyCommit("j")
  #expect(try watcher.event { $0["event"] == "BLOCK_JOB_READY" }["data"]?["device"] == "j")
  try stage.stop()
  #expect(!FileManager.default.fileExists(atPath: path))
}

@Test("Sixteen bad messages in a row end the session; a good one between them forgives")
func badMessages() throws {
  let daemon = try DaemonProcess.start()
  let monitor = try MonitorSocket.negotiated(daemon.socket)
  let good = #"{"execute": "query-jobs"}"#
  for _ in 0..<3 {
    for _ in 0..<15 { #expect(try monitor.answer(to: "{}").errorClass == "GenericError") }
    #expect(try monitor.answer(to: good)["return"] == [])
  }
  // What stands behind the last bad one is not looked at.
  try monitor.send(String(repeating: "nonsense\n", count: 16) + good)
  for _ in 0..<16 { #expect(try monitor.nextAnswer().errorClass == "GenericError") }
  #expect(throws: MonitorSocket.Failure.closed) { try monitor.next() }
  // Refused commands are no bad messages.
  let other = try MonitorSocket.negotiated(daemon.socket)
  for _ in 0..<40 { #expect(try other.answer(to: #"{"execute": "nope"}"#)["error"] != nil) }
}

@Test("A client that does not end its message in time is dropped, one that says nothing is not")
func messageTime() throws {
  let daemon = try DaemonProcess.start(arguments: ["--message-time", "0"])
  let idle = try MonitorSocket.negotiated(daemon.socket)
  let slow = try MonitorSocket.negotiated(daemon.socket)
  try slow.send(#"{"execute": "query-"#)
  #expect(throws: MonitorSocket.Failure.closed) { try slow.next() }
  let skipping = try MonitorSocket.negotiated(daemon.socket)
  // Skipped up to a newline that does not come.
  try skipping.send([0xFF, UInt8(ascii: "x")])
  #expect(try skipping.nextAnswer()["error"] != nil)
  #expect(throws: MonitorSocket.Failure.closed) { try skipping.next() }
  #expect(try idle.answer(to: #"{"execute": "query-jobs"}"#)["return"] == [])
  #expect(daemon.stop() == 0)
  #expect(daemon.output.contains("Client dropped: it does not end its message"))
}

@Test("Answers to garbage are at most twice as long, and 256 bytes for each error")
func boundedAnswers() throws {
  let daemon = try DaemonProcess.start()
  let monitor = try MonitorSocket.negotiated(daemon.socket)
  let numbers = String(repeating: "1e15,", count: 4000) + "0"
  let controls = String(repeating: #"\u0001"#, count: 1000)
  let texts = [
    "{}", "1 ", "]\n", #"{"id": [\#(numbers)]}"#, #"{"\#(controls)": 1}"#,
    #"{"execute": "\#(controls)", "\#(controls)": 1}"#, #"{"execute": "query-jobs", "id\n": 1}"#,
    String(repeating: "💾", count: 1000) + "\n", #"{"execute": "x", "💾💾💾💾💾💾💾💾💾💾": 1}"#,
    #"{"id": "\#(controls)"}"#,
  ]
  for text in texts {
    try monitor.send(text + #"{"execute": "query-jobs", "id": "good"}"#)
    var (errors, bytes) = (0, 0)
    while case let answer = try monitor.nextAnswer(), answer["id"] != "good" {
      errors += 1
      bytes += JSONValue.object(answer).utf8.count + 2
    }
    #expect(errors > 0 && bytes <= 2 * text.utf8.count + 256 * errors, "\(text.prefix(40))")
  }
}
