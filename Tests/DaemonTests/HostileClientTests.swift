import Foundation
import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

/// What clients may do to a server, by the numbers of the list of hostile inputs: 86 to 115. Others
/// are served all the while.
@Suite("hostile clients")
struct HostileClientTests {
  private static let query = #"{"execute": "query-jobs", "id": "good"}"#

  /// Whether a client that has just come is served.
  private func expectServed(
    _ daemon: DaemonProcess, at location: SourceLocation = #_sourceLocation
  ) throws {
    let other = try MonitorSocket.negotiated(daemon.socket)
    #expect(try other.answer(to: Self.query)["return"] == [], sourceLocation: location)
  }

  @Test("86 to 102: each number has a message here")
  func numbers() {
    #expect(Set(HostileMessage.all.map(\.number)) == Set([Int](86...102)))
  }

  @Test("86 to 102: a message that must not be taken gets an error", arguments: HostileMessage.all)
  func refused(message: HostileMessage) throws {
    let daemon = try DaemonProcess.start()
    let monitor = try MonitorSocket.negotiated(daemon.socket)
    try monitor.send(message.bytes)
    try expectServed(daemon)
    // The line after a byte that no message has is a new one.
    try monitor.send([0xFF, UInt8(ascii: "\n")])
    try monitor.send(Self.query)
    var answers: [JSONObject] = []
    repeat { answers.append(try monitor.nextAnswer()) } while answers.last?["id"] != "good"
    #expect(answers.removeLast()["return"] == [])
    #expect((1...3).contains(answers.count) && answers.allSatisfy { $0["error"] != nil })
    let sentence = try #require(answers.first?.errorSentence)
    #expect(message.words.allSatisfy(sentence.contains), "\(sentence)")
    #expect(sentence.utf8.count < 400)
    #expect(daemon.stop() == 0)
  }

  @Test("89 to 100: where the brackets of a bad message close, the next may follow at once")
  func closed() throws {
    let daemon = try DaemonProcess.start()
    let monitor = try MonitorSocket.negotiated(daemon.socket)
    for value in HostileMessage.faultyValues {
      try monitor.send(#"{"execute": "query-jobs", "id": "#)
      try monitor.send(value.bytes)
      try monitor.send("}" + Self.query)
      let sentence = try #require(try monitor.nextAnswer().errorSentence)
      #expect(sentence.contains(value.words), "\(value.number): \(sentence)")
      #expect(try monitor.nextAnswer() == ["return": [], "id": "good"], "\(value.number)")
    }
    #expect(daemon.stop() == 0)
  }

  @Test("103: before it has negotiated, a client can do nothing")
  func early() throws {
    let daemon = try DaemonProcess.start()
    let monitor = try MonitorSocket(daemon.socket)
    _ = try monitor.next()
    for command in CommandCatalog.all where command.name != QMPCapabilities.name {
      let answer = try monitor.answer(to: #"{"execute": "\#(command.name)"}"#)
      #expect(answer.errorClass == "CommandNotFound", "\(command.name)")
    }
    #expect(daemon.stop() == 0)
  }

  @Test("104: a message that comes byte by byte is taken, one that does not end in time is not")
  func slowly() throws {
    let daemon = try DaemonProcess.start()
    let monitor = try MonitorSocket.negotiated(daemon.socket)
    for byte in Self.query.utf8 { try monitor.send([byte]) }
    #expect(try monitor.nextAnswer()["return"] == [])
    let strict = try DaemonProcess.start(arguments: ["--message-time", "0"])
    let slow = try MonitorSocket.negotiated(strict.socket)
    for byte in Self.query.utf8.dropLast() where (try? slow.send([byte])) == nil { break }
    #expect(throws: MonitorSocket.Failure.closed) { try slow.next() }
    try expectServed(strict)
    #expect(strict.stop() == 0 && daemon.stop() == 0)
  }

  @Test("104: long messages that do not end are held up to a bound; who holds little stays")
  func halfMessages() throws {
    let daemon = try DaemonProcess.start(arguments: ["--message-time", "600"])
    let early = try MonitorSocket.negotiated(daemon.socket)
    try early.send(String(Self.query.utf8.prefix(12)) ?? "")
    // Half as much again as all clients of the socket may have begun.
    let half = #"{"execute": ""# + String(repeating: "a", count: 960 << 10)
    let greedy = try (0..<48).map { _ in
      let monitor = try MonitorSocket.negotiated(daemon.socket)
      try? monitor.send(half)
      return monitor
    }
    #expect(throws: MonitorSocket.Failure.closed) { try greedy[0].next() }
    #expect(try greedy[47].answer(to: #""}"#).errorClass == "CommandNotFound")
    #expect(try early.answer(to: String(Self.query.utf8.dropFirst(12)) ?? "")["return"] == [])
    try expectServed(daemon)
    #expect(daemon.stop() == 0)
    #expect(daemon.output.contains("Client dropped: messages that wait or have not ended"))
  }

  @Test("105: clients that say nothing hold up nobody, and are not forgotten")
  func silent() throws {
    let daemon = try DaemonProcess.start()
    let silent = try (0..<100).map { _ in try MonitorSocket(daemon.socket) }
    try expectServed(daemon)
    for monitor in silent { try monitor.negotiate() }
    #expect(try silent[99].answer(to: Self.query)["return"] == [])
    #expect(daemon.stop() == 0)
  }

  @Test("106: clients that read no answers cost a bounded memory, and hold up nobody")
  func deaf() throws {
    let daemon = try DaemonProcess.start()
    try expectServed(daemon)
    let before = try daemon.residentKibibytes()
    let deaf = try (0..<10).map { _ in
      let monitor = try MonitorSocket.negotiated(daemon.socket)
      // 16,000 answers of 5 KiB each would be 80 MiB for each of them.
      try monitor.send(String(repeating: #"{"execute": "query-commands"}"#, count: 1000))
      return monitor
    }
    for _ in 0..<10 { try expectServed(daemon) }
    #expect(try daemon.residentKibibytes() - before < 32 << 10)
    withExtendedLifetime(deaf) {}
    #expect(daemon.stop() == 0)
  }

  @Test("106: clients that do not read hold up no query of one that does")
  func deafCrowd() throws {
    let daemon = try DaemonProcess.start(launcher: ["prlimit", "--nofile=4096"])
    let good = try MonitorSocket.negotiated(daemon.socket)
    // More than all together should be held, less than what nobody waits for.
    let deaf = try (0..<70).map { _ in
      let monitor = try MonitorSocket.negotiated(daemon.socket)
      try monitor.send(String(repeating: #"{"execute": "query-qmp-schema"}"#, count: 40))
      return monitor
    }
    for _ in 0..<200 { #expect(try good.answer(to: Self.query)["return"] == []) }
    #expect(!daemon.output.contains("Client dropped"))
    withExtendedLifetime(deaf) {}
    #expect(daemon.stop() == 0)
  }

  @Test(
    "106: a client that asks much at once and reads late gets every answer, out of band, too",
    arguments: ["execute", "exec-oob"])
  func late(member: String) throws {
    let daemon = try DaemonProcess.start()
    let monitor = try MonitorSocket(daemon.socket)
    _ = try monitor.next()
    let enable = #"{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}"#
    _ = try monitor.answer(to: enable)
    // Many times what may wait for it.
    try monitor.send(
      (0..<40).map { #"{"\#(member)": "query-qmp-schema", "id": \#($0)}"# }.joined())
    for _ in 0..<10 { try expectServed(daemon) }
    for id in 0..<40 {
      let answer = try monitor.nextAnswer()
      #expect(answer["id"] == .integer(id) && answer["return"] != nil)
    }
    #expect(daemon.stop() == 0)
    #expect(!daemon.output.contains("Client dropped"))
  }

  @Test("106: clients that have long ids answered, and do not read, cost a bounded memory")
  func longIDs() throws {
    let daemon = try DaemonProcess.start()
    try expectServed(daemon)
    let before = try daemon.residentKibibytes()
    let id = String(repeating: "\u{7f}", count: 1_000_000)
    let path = "/dev/fdset/\(id)"
    let deaf = try (0..<12).map { number in
      let monitor = try MonitorSocket.negotiated(daemon.socket)
      let arguments = #"{"driver": "file", "node-name": "n", "filename": "\#(path)"}"#
      try monitor.send(
        number % 2 == 0
          ? #"{"execute": "nope", "id": "\#(id)"}"#
          : #"{"execute": "blockdev-add", "arguments": \#(arguments)}"#)
      return monitor
    }
    for _ in 0..<10 { try expectServed(daemon) }
    #expect(try daemon.residentKibibytes() - before < 48 << 10)
    withExtendedLifetime(deaf) {}
    #expect(daemon.stop() == 0)
  }

  @Test("107: a client that closes its half still gets its answers")
  func halfClosed() throws {
    let daemon = try DaemonProcess.start()
    let monitor = try MonitorSocket.negotiated(daemon.socket)
    for id in 0..<50 { try monitor.send(#"{"execute": "query-commands", "id": \#(id)}"#) }
    monitor.endSending()
    for id in 0..<50 { #expect(try monitor.nextAnswer()["id"] == .integer(id)) }
    #expect(throws: MonitorSocket.Failure.closed) { try monitor.next() }
    #expect(daemon.stop() == 0)
  }

  @Test("108: a client that is gone in the midst of an answer ends its own session alone")
  func reset() throws {
    let daemon = try DaemonProcess.start()
    let witness = try MonitorSocket.negotiated(daemon.socket)
    for _ in 0..<20 {
      let monitor = try MonitorSocket.negotiated(daemon.socket)
      for _ in 0..<20 { try monitor.send(#"{"execute": "query-qmp-schema"}"#) }
      // Closed with answers that nobody has read, and others on their way.
      withExtendedLifetime(monitor) {}
    }
    #expect(try witness.answer(to: Self.query)["return"] == [])
    try expectServed(daemon)
    #expect(daemon.stop() == 0)
  }

  @Test("109: a thousand clients, one after the other, leave nothing behind")
  func thousandConnects() throws {
    let daemon = try DaemonProcess.start()
    let witness = try MonitorSocket.negotiated(daemon.socket)
    let before = try daemon.openFiles()
    for _ in 0..<1000 { _ = try MonitorSocket(daemon.socket) }
    // One that comes now is served when those before it have been seen.
    try expectServed(daemon)
    var left = Int.max
    for _ in 0..<100 where left > before + 1 {
      #expect(try witness.answer(to: Self.query)["return"] == [])
      left = try daemon.openFiles()
    }
    #expect(left <= before + 1)
    #expect(daemon.stop() == 0)
  }

  @Test(
    "110: an id that is no name is refused before there is a job",
    arguments: ["", "a/b", "1a", "ä", "a b", "a\n", "-", String(repeating: "j", count: 1 << 19)])
  func ids(id: String) throws {
    let stage = try DaemonStage()
    try stage.openChain()
    let error = try stage.refusal(of: BlockCommit { ($0.jobID, $0.device) = (id, "overlay") })
    #expect(error.message.contains("Invalid job ID") && error.message.utf8.count < 400)
    #expect(try stage.client.execute(QueryJobs()).isEmpty)
    try stage.stop()
  }

  @Test("110: an id that a job has is refused, and the job goes on")
  func sameID() throws {
    let stage = try DaemonStage()
    try stage.openChain()
    try stage.readyCommit("j")
    let error = try stage.refusal(of: BlockMakeEmpty { ($0.job.id, $0.node) = ("j", "overlay") })
    #expect(error.message == "Job ID 'j' already in use")
    #expect(try stage.job("j").status == .ready)
    try stage.stop()
  }

  @Test("111: verbs that come too early, too late or twice are refused, and end nothing else")
  func verbs() throws {
    let stage = try DaemonStage()
    try stage.openChain()
    try stage.readyCommit("j") { $0.autoDismiss = false }
    #expect(try stage.refusal(of: JobDismiss { $0.id = "j" }).message.contains("'ready'"))
    try stage.client.execute(JobCancel { $0.id = "j" })
    try stage.wait("j")
    for error in [
      try stage.refusal(of: JobCancel { $0.id = "j" }),
      try stage.refusal(of: JobComplete { $0.id = "j" }),
    ] {
      #expect(error.message.contains("in state 'concluded' cannot accept command verb"))
    }
    try stage.client.execute(JobDismiss { $0.id = "j" })
    #expect(try stage.refusal(of: JobDismiss { $0.id = "j" }).message == "Job not found")
    try stage.stop()
  }

  @Test("112: a base that is not below its top, and nodes that are not there, are refused")
  func wrongNodes() throws {
    let stage = try DaemonStage()
    try stage.openChain()
    let cases: [(top: String?, base: String?, words: String)] = [
      ("base", "middle", "middle"), ("middle", "middle", "itself"),
      ("overlay", "overlay", "itself"),
      ("nope", "base", "nope"), ("middle", "nope", "nope"),
    ]
    for (top, base, words) in cases {
      let error = try stage.refusal(
        of: BlockCommit {
          ($0.jobID, $0.device) = ("j", "overlay")
          ($0.topNode, $0.baseNode) = (top, base)
        })
      #expect(error.message.contains(words), "\(top ?? "") \(base ?? ""): \(error.message)")
    }
    #expect(
      try stage.refusal(of: BlockCommit { ($0.jobID, $0.device) = ("j", "nope") }).message
        == "Device 'nope' not found")
    #expect(try stage.client.execute(QueryJobs()).isEmpty)
    try stage.stop()
  }

  @Test("115: ten thousand commands at once are answered one by one, in their order")
  func pipelined() throws {
    let daemon = try DaemonProcess.start()
    let monitor = try MonitorSocket.negotiated(daemon.socket)
    // Sent in parts that fit a socket, because whoever does not read is not read.
    for part in 0..<100 {
      let ids = part * 100..<part * 100 + 100
      try monitor.send(ids.map { #"{"execute": "query-jobs", "id": \#($0)}"# }.joined())
      if part == 0 { continue }
      for id in ids { #expect(try monitor.nextAnswer()["id"] == .integer(id - 100)) }
    }
    for id in 9900..<10_000 { #expect(try monitor.nextAnswer()["id"] == .integer(id)) }
    #expect(daemon.stop() == 0)
  }
}

extension DaemonProcess {
  /// The memory that it holds now.
  fileprivate func residentKibibytes() throws -> Int {
    let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
    return try #require(line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) })
  }

  /// How many descriptors it has.
  fileprivate func openFiles() throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
  }
}
