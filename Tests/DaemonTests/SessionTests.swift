import JSONValue
import QMP
import TestSupport
import Testing

private let negotiate = #"{"execute": "qmp_capabilities"}"#

@Test("Until it has negotiated, a client can do nothing else and hears of nothing")
func negotiation() throws {
  let daemon = try DaemonProcess.start()
  let monitor = try MonitorSocket(daemon.socket)
  #expect(try monitor.next()["QMP"]?["capabilities"] == ["oob"])
  let early = try monitor.answer(to: #"{"execute": "query-jobs", "id": 1}"#)
  #expect(early.errorClass == "CommandNotFound")
  #expect(early.errorSentence == "Expecting capabilities negotiation with 'qmp_capabilities'")
  let unknown = #"{"execute": "qmp_capabilities", "arguments": {"enable": ["zzz"]}}"#
  #expect(
    try monitor.answer(to: unknown).errorSentence
      == "Parameter 'enable[0]' does not accept value 'zzz'")
  // The events of another client's job go past a client that has not negotiated.
  let directory = try TemporaryDirectory()
  let other = try MonitorSocket.negotiated(daemon.socket)
  let options = #"{"driver": "file", "size": 0, "filename": "\#(directory.file("f"))"}"#
  try other.send(
    #"{"execute": "blockdev-create", "arguments": {"job-id": "j", "options": \#(options)}}"#)
  _ = try other.event { $0["data"]?["status"] == "concluded" }
  try monitor.send(negotiate)
  #expect(try monitor.next()["return"] == [:])
  let again = try monitor.answer(to: negotiate)
  #expect(again.errorClass == "CommandNotFound")
  #expect(
    again.errorSentence == "Capabilities negotiation is already complete, command ignored")
}

@Test("Messages end where their objects do: on one line, on many, and with no newline at all")
func framing() throws {
  let daemon = try DaemonProcess.start()
  let monitor = try MonitorSocket(daemon.socket)
  _ = try monitor.next()
  // No newline: qemu.qmp sends none.
  #expect(try monitor.answer(to: negotiate)["return"] == [:])
  try monitor.send(
    #"{"execute":"query-jobs","id":1}{"execute":"nope","id":2} {"execute":"query-jobs","id":3}"#)
  for id in 1...3 { #expect(try monitor.nextAnswer()["id"] == .integer(id)) }
  for piece in ["{\n\"exe", "cute\"\r\n:\t\"query", "-jobs\"\n\n,", "\"id\": 4\n", "}"] {
    try monitor.send(piece)
  }
  #expect(try monitor.nextAnswer()["id"] == 4)
  // What was asked before the client stopped sending is still answered, and then it is over.
  try monitor.send(#"{"execute": "query-jobs", "id": 5}"#)
  monitor.endSending()
  #expect(try monitor.nextAnswer()["id"] == 5)
  #expect(throws: MonitorSocket.Failure.closed) { try monitor.next() }
}

@Test("A number as an id comes back as QEMU writes it, but for the digits of a fraction")
func numberIdentifiers() throws {
  let daemon = try DaemonProcess.start()
  let ours = try MonitorSocket.negotiated(daemon.socket)
  let qemu = try QemuDaemon()
  for id in [
    "1e2", "1.0", "-0.0", "-0", "0.0", "-7e0", "1e15", "1e16", "1e17", "9007199254740993.0",
    "99999999999999984.0", "123456789012345678901", "-123456789012345678901", "12345678.9",
    "0.0001", "1e300",
  ] {
    let request = #"{"execute": "nope", "id": \#(id)}"#
    let answers = try [ours, qemu.monitor].map { try $0.answer(to: request)["id"] }
    #expect(answers[0] == answers[1], "\(id)")
  }
  let tenth = #"{"execute": "nope", "id": 0.1}"#
  for monitor in [ours, qemu.monitor] { #expect(try monitor.answer(to: tenth)["id"] == 0.1) }
}

@Test("An id of any type comes back as it was, with an error too")
func identifiers() throws {
  let daemon = try DaemonProcess.start()
  let monitor = try MonitorSocket.negotiated(daemon.socket)
  let texts = [
    "null", "true", "0", "-9223372036854775808", "18446744073709551615", "1.5", #""""#,
    #""ä\n😀""#, "[]", "[1,[null,{}]]", "{}", #"{"b":1,"a":{"c":[2]}}"#,
  ]
  for text in texts {
    let id = try JSONValue.parse(text)
    #expect(try monitor.answer(to: #"{"execute": "query-jobs", "id": \#(text)}"#)["id"] == id)
    let refused = try monitor.answer(to: #"{"id": \#(text), "execute": "nope"}"#)
    #expect(refused["id"] == id && refused.errorClass == "CommandNotFound")
    #expect(try monitor.answer(to: #"{"id": \#(text), "execute": 1}"#)["id"] == id)
  }
  let without = try monitor.answer(to: #"{"execute": "query-jobs"}"#)
  #expect(without["return"] == [] && without["id"] == nil)
}

@Test(
  "After garbage, the byte 0xFF and a newline the session goes on",
  arguments: [
    "garbage", "{", "{\"a\":}", "]", "\"unfinished",
    "{\"execute\": \"query-jobs\", \"execute\": 1}",
    "\u{0}", "[[[[", "{'execute': 'query-jobs'}", "{\"id\": 1e999, \"execute\": \"query-jobs\"}",
    String(repeating: "[", count: 40), "{\"execute\": \"\\ud800\"}", "1", "[]", "nul",
  ])
func garbage(_ text: String) throws {
  let daemon = try DaemonProcess.start()
  let monitor = try MonitorSocket.negotiated(daemon.socket)
  try monitor.send(text + "\n")
  // A message that is still open takes the next line, too, if no byte in it ends it.
  try monitor.send([0xFF, UInt8(ascii: "\n")])
  try monitor.send(#"{"execute": "query-jobs", "id": "good"}"#)
  var answers: [JSONObject] = []
  repeat { answers.append(try monitor.nextAnswer()) } while answers.last?["id"] != "good"
  #expect(answers.removeLast()["return"] == [])
  #expect((1...2).contains(answers.count))
  #expect(answers.allSatisfy { $0.errorClass == "GenericError" })
}

@Test("An integer that 64 bits do not hold is a number like 1.5, and QEMU takes it for one, too")
func wideIntegers() throws {
  let daemon = try DaemonProcess.start()
  let oracle = try QemuDaemon()
  let monitor = try MonitorSocket.negotiated(daemon.socket)
  let options = #""driver": "file", "filename": "/nope", "size": "#
  for number in [
    "9223372036854775808", "18446744073709551615", "18446744073709551616", "-9223372036854775809",
    "1" + String(repeating: "0", count: 300),
  ] {
    let calls = [
      #"{"execute": "query-jobs", "id": [\#(number)]}"#,
      #"{"execute": "block-job-set-speed", "arguments": {"device": "j", "speed": \#(number)}, "#
        + #""id": 1}"#,
      #"{"execute": "block_resize", "arguments": {"node-name": "n", "size": \#(number)}, "id": 2}"#,
    ]
    for call in calls {
      let (ours, theirs) = (try monitor.answer(to: call), try oracle.monitor.answer(to: call))
      #expect(ours["id"] != nil && ours["id"] == theirs["id"], "\(call)")
      #expect(ours["return"] == theirs["return"] && ours["error"] == theirs["error"], "\(call)")
    }
  }
  // QEMU's sizes are unsigned, so that only what 64 bits do not hold is none.
  for number in ["18446744073709551616", "-9223372036854775809"] {
    let arguments = #""job-id": "j", "options": {\#(options)\#(number)}"#
    let call = #"{"execute": "blockdev-create", "arguments": {\#(arguments)}, "id": 3}"#
    let (ours, theirs) = (try monitor.answer(to: call), try oracle.monitor.answer(to: call))
    #expect(ours["id"] == 3 && ours["error"] == theirs["error"], "\(call)")
  }
}

@Test("An envelope that is no request is refused in QEMU's words, and QEMU says the same")
func envelopes() throws {
  let cases = [
    ("[1]", "QMP input must be a JSON object"),
    ("\"x\"\n", "QMP input must be a JSON object"),
    (#"{"execute": 1}"#, "QMP input member 'execute' must be a string"),
    (#"{"execute": "query-jobs", "foo": 1}"#, "QMP input member 'foo' is unexpected"),
    (
      #"{"execute": "query-jobs", "arguments": 1}"#,
      "QMP input member 'arguments' must be an object"
    ),
    ("{}", "QMP input lacks member 'execute'"),
    ("garbage\n", "JSON parse error, invalid keyword 'garbage'"),
  ]
  let daemon = try DaemonProcess.start()
  let oracle = try QemuDaemon()
  let monitor = try MonitorSocket.negotiated(daemon.socket)
  for (text, sentence) in cases {
    let ours = try monitor.answer(to: text)
    #expect(ours.errorSentence == sentence && ours.errorClass == "GenericError")
    #expect(try oracle.monitor.answer(to: text).errorSentence == sentence)
  }
}
