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
  for _ in 0..<20 {
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
  #expect(!lines.isEmpty && lines.count < 20, "told together, not for each: \(lines)")
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
  for query in ["query-commands", "query-qmp-schema"] {
    let list = try watcher.answer(to: #"{"execute": "\#(query)"}"#)["return"]?.arrayValue ?? []
    let names = list.filter { [nil, "command"].contains($0["meta-type"]) }
      .compactMap { $0["name"]?.stringValue }
    let served = CommandCatalog.all.map { $0.name }
      .filter { $0.contains("query-") || $0 == QMPCapabilities.name }
    #expect(names == served, "\(query)")
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
  try skipping.send([0xFE, UInt8(ascii: "x")])
  #expect(try skipping.nextAnswer()["error"] != nil)
  #expect(throws: MonitorSocket.Failure.closed) { try skipping.next() }
  #expect(try idle.answer(to: #"{"execute": "query-jobs"}"#)["return"] == [])
  #expect(daemon.stop() == 0)
  let who = "(process \(getpid()), user \(geteuid()))"
  #expect(daemon.output.contains("Client dropped: it does not end its message \(who)"))
}

/// Messages of which an answer says much again, in a longer spelling.
private let longAnswers = ["\u{7f}", "\u{9b}", "\u{61c}", "\u{202e}", "x", #"\\"#].flatMap { text in
  [4, 8, 12, 16, 24, 32, 40, 1000, 20_000].flatMap { count in
    let name = String(repeating: text, count: count)
    return [
      #"{"execute": "nope", "id": "\#(name)"}"#,
      #"{"execute": "\#(name)", "id": "\#(name)"}"#,
      #"{"execute": 1, "id": "\#(name)"}"#,
      #"{"execute": "job-cancel", "arguments": {"id": "\#(name)"}}"#,
      #"{"execute": "qmp_capabilities", "id": ["\#(name)"]}"#,
      opening("/\(name)"), opening("/dev/fdset/\(name)"), opening("/\(name)", node: name),
    ]
  }
}

/// Commands that fail with sentences that quote much, and have ids almost twice as long in the
/// answer.
private func longIDs(_ numbers: String) -> [String] {
  let name = String(repeating: "💾", count: 65)
  return [
    #"{"execute": "block-stream", "arguments": {"device": "\#(name)"}, "#,
    #"{"execute": "block-job-cancel", "arguments": {"device": "\#(name)"}, "#,
    #"{"execute": "\#(name)", "#,
    #"{"execute": "query-version", "arguments": {"\#(name)": 1}, "#,
  ].map { request in
    // A number has 5 bytes, and 18 in the answer.
    let count = 2 * (request.utf8.count + 8) / 8 - 2
    return request + #""id": [\#(numbers.prefix(5 * count))0]}"#
  }
}

/// A command that opens a file by this name.
private func opening(_ path: String, node: String = "n") -> String {
  #"{"execute": "blockdev-add", "arguments": {"driver": "file", "node-name": "\#(node)", "#
    + #""filename": "\#(path)"}}"#
}

@Test("Answers to garbage are at most twice as long, and 256 bytes for each error")
func boundedAnswers() throws {
  let daemon = try DaemonProcess.start()
  let monitor = try MonitorSocket.negotiated(daemon.socket)
  let numbers = String(repeating: "1e15,", count: 4000) + "0"
  let controls = String(repeating: #"\u0001"#, count: 1000)
  let texts =
    [
      "{}", "1 ", "]\n", #"{"id": [\#(numbers)]}"#, #"{"\#(controls)": 1}"#,
      #"{"execute": "\#(controls)", "\#(controls)": 1}"#, #"{"execute": "query-jobs", "id\n": 1}"#,
      String(repeating: "💾", count: 1000) + "\n", #"{"execute": "x", "💾💾💾💾💾💾💾💾💾💾": 1}"#,
      #"{"id": "\#(controls)"}"#,
      // An id that is almost twice as long in the answer, and a sentence that quotes as much as
      // one may.
      #"{"id": [\#(numbers.prefix(5 * 167))0], "\#(String(repeating: "💾", count: 65))": ""#
        + String(repeating: "a", count: 400) + #""}"#,
    ] + longAnswers + longIDs(numbers)
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

@Test("An id comes again from a bad request, too, but not where its text would be far longer")
func echoedIDs() throws {
  let daemon = try DaemonProcess.start()
  let monitor = try MonitorSocket.negotiated(daemon.socket)
  let long = String(repeating: "id", count: 100_000)
  #expect(try monitor.answer(to: #"{"execute": 1, "id": "\#(long)"}"#)["id"] == .string(long))
  let grown = String(repeating: "\u{7f}", count: 1000)
  for execute in [#""query-jobs""#, #""nope""#, "1"] {
    let answer = try monitor.answer(to: #"{"execute": \#(execute), "id": "\#(grown)"}"#)
    #expect(answer["id"] == nil && answer.errorSentence?.contains("'id'") == true)
    // A few such characters are no matter.
    let few = try monitor.answer(to: #"{"execute": \#(execute), "id": "\#u{7f}\#u{9b}"}"#)
    #expect(few["id"] == "\u{7f}\u{9b}")
  }
}

@Test("An error that names a long path comes with its id")
func idBesideLongPath() throws {
  let directory = try TemporaryDirectory()
  let (top, base) = (directory.file("top"), directory.file(String(repeating: "b", count: 200)))
  for words in [[base, "1M"], ["-b", base, "-F", "qcow2", top]] {
    #expect(try QemuTools.run("qemu-img", ["create", "-q", "-f", "qcow2"] + words).status == 0)
  }
  let daemon = try DaemonProcess.start()
  try daemon.client().add("o", top)
  let monitor = try MonitorSocket.negotiated(daemon.socket)
  let answer = try monitor.answer(
    to: #"{"execute": "block-commit", "arguments": {"device": "o", "job-id": "j"}, "id": 7}"#)
  #expect(answer["x-error"]?["file"]?.stringValue == base, "\(answer)")
  #expect(answer["id"] == 7)
}

@Test("A client that has not negotiated in time makes room for another, an idle one does not")
func room() throws {
  let daemon = try DaemonProcess.start(arguments: ["--max-clients", "3", "--message-time", "0"])
  let idle = try MonitorSocket.negotiated(daemon.socket)
  let silent = try (0..<2).map { _ in
    let monitor = try MonitorSocket(daemon.socket)
    #expect(try monitor.next()["QMP"] != nil)
    return monitor
  }
  let third = try MonitorSocket.negotiated(daemon.socket)
  #expect(throws: MonitorSocket.Failure.closed) { try silent[0].next() }
  try silent[1].negotiate(greeted: true)
  let fourth = try MonitorSocket(daemon.socket)
  #expect(throws: MonitorSocket.Failure.closed) { try fourth.next() }
  for monitor in [idle, silent[1], third] {
    #expect(try monitor.answer(to: #"{"execute": "query-jobs"}"#)["return"] == [])
  }
  #expect(daemon.stop() == 0)
}

@Test("Clients that may only query leave an eighth of the places to those who may do more")
func reservedPlaces() throws {
  let directory = try TemporaryDirectory(in: "/tmp")
  let path = directory.file("readers")
  let daemon = try DaemonProcess.start(
    arguments: ["--max-clients", "8", "--socket-readonly", path])
  let readers = try (0..<7).map { _ in try MonitorSocket.negotiated(path) }
  let tooMany = try MonitorSocket(path)
  #expect(throws: MonitorSocket.Failure.closed) { try tooMany.next() }
  let first = try MonitorSocket.negotiated(daemon.socket)
  #expect(try first.answer(to: #"{"execute": "query-jobs"}"#)["return"] == [])
  let second = try MonitorSocket(daemon.socket)
  #expect(throws: MonitorSocket.Failure.closed) { try second.next() }
  withExtendedLifetime(readers) {}
  #expect(daemon.stop() == 0)
  let failure = try #require(throws: DaemonProcess.StartFailure.self) {
    try DaemonProcess.start(arguments: ["--max-clients", "1", "--socket-readonly", path])
  }
  #expect(failure.output.contains("at least 2"))
}

@Test("Strangers cannot fill the log: they are counted in it")
func strangers() throws {
  let daemon = try DaemonProcess.start(arguments: ["--allow-uid", "\(geteuid() + 1)"])
  for _ in 0..<500 {
    let stranger = try MonitorSocket(daemon.socket)
    #expect(throws: MonitorSocket.Failure.closed) { try stranger.next() }
  }
  #expect(daemon.stop() == 0)
  let lines = daemon.output.split(separator: "\n").filter { $0.contains("turned away") }
  // One a second: five hundred would take minutes to be as many.
  #expect((1...100).contains(lines.count))
  let counted = lines.compactMap { line in
    line.split(separator: "(and ").dropFirst().first.flatMap { Int($0.prefix { $0.isNumber }) }
  }
  #expect(lines.count + counted.reduce(0, +) == 500)
}

@Test("Clients that die while a command of theirs waits leave their places at once")
func deadWaiters() throws {
  let stage = try DaemonStage(arguments: ["--max-clients", "4"])
  try stage.openChain()
  try stage.slowCommit("j")
  let wait = #"{"execute": "job-wait", "arguments": {"id": "j"}}"#
  let half = try MonitorSocket.negotiated(stage.daemon.socket)
  try half.send(wait)
  half.endSending()
  for _ in 0..<2 {
    let dying = try MonitorSocket.negotiated(stage.daemon.socket)
    try dying.send(wait)
    #expect(try stage.job("j").status == .running)
  }
  // Whether they are gone from the daemon's sight by now is the system's business.
  let served = (0..<10_000).contains { _ in
    (try? MonitorSocket.negotiated(stage.daemon.socket)) != nil
  }
  #expect(served)
  // Who has only closed its half still waits for its answer.
  try stage.client.execute(JobCancel { $0.id = "j" })
  #expect(try half.nextAnswer()["return"]?["error"] == "The job was cancelled")
  try stage.stop()
}

@Test("As many files may be open as clients and images need, or the log says that they may not")
func openFiles() throws {
  let raised = try DaemonProcess.start(launcher: ["prlimit", "--nofile=256:8192"])
  #expect(try raised.openFileLimit() == 2048 + 4096)
  let enough = try DaemonProcess.start(launcher: ["prlimit", "--nofile=7000:8192"])
  #expect(try enough.openFileLimit() == 7000)
  let few = try DaemonProcess.start(launcher: ["prlimit", "--nofile=256:512"])
  #expect(try few.openFileLimit() == 512)
  #expect(few.stop() == 0 && raised.stop() == 0 && enough.stop() == 0)
  #expect(few.output.contains("Only 512 files can be open"))
  #expect(!raised.output.contains("files can be open"))
}

extension DaemonProcess {
  /// How many files it may have open.
  fileprivate func openFileLimit() throws -> Int {
    let limits = try String(contentsOfFile: "/proc/\(pid)/limits", encoding: .utf8)
    let line = limits.split(separator: "\n").first { $0.hasPrefix("Max open files") }
    return try #require(line?.split(separator: " ").dropFirst(3).first.flatMap { Int($0) })
  }
}
