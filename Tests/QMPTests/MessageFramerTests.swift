import JSONValue
import QMP
import Testing

/// All that `text` holds, received at once.
private func frames(_ text: some Sequence<UInt8>) -> [MessageFramer.Frame] {
  frames([Array(text)])
}

/// All that the pieces of a stream hold, received one after the other.
private func frames(_ pieces: [[UInt8]]) -> [MessageFramer.Frame] {
  var framer = MessageFramer()
  var frames: [MessageFramer.Frame] = []
  for piece in pieces {
    framer.receive(piece)
    while let frame = framer.next() { frames.append(frame) }
  }
  return frames
}

private func error(_ sentence: String) -> MessageFramer.Frame { .error(QMPError(sentence)) }

private let noObject = error("QMP input must be a JSON object")

/// Streams and what they hold. The sentences are what qemu-storage-daemon 7.2 answers, except
/// where a stream is cut off at its first bad token.
private let streams: [(text: String, frames: [MessageFramer.Frame])] = [
  ("", []),
  (" \r\n\t\n", []),
  ("{", []),
  ("{}", [.message([:])]),
  ("{}{\"a\": 1}\n[", [.message([:]), .message(["a": 1])]),
  ("{\n\"a\"\n:\n{}\n}\n", [.message(["a": [:]])]),
  ("[1]{}", [noObject, .message([:])]),
  ("\"x\" 1 true {}", [noObject, noObject, noObject, .message([:])]),
  ("[{\"execute\": \"quit\"},\n{\"execute\": \"quit\"}]", [noObject]),

  // Where the end is clear, the next message is good even on the same line.
  ("{\"a\" 1}{}", [error("JSON parse error, missing : in object pair"), .message([:])]),
  ("{\"a\": 1,}{}", [error("JSON parse error, expecting value"), .message([:])]),
  ("{\"a\": 1, \"a\": 2}{}", [error("JSON parse error, duplicate key"), .message([:])]),
  (
    "{\"execute\": garbage}\n{}",
    [error("JSON parse error, invalid keyword 'garbage'"), .message([:])]
  ),
  ("garbage\n{}", [error("JSON parse error, invalid keyword 'garbage'"), .message([:])]),
  ("]{}", [error("JSON parse error, expecting value"), .message([:])]),

  // So it is where one value is wrong: brackets and quotes are all that is looked at behind it.
  ("{\"a\": -01}{}", [error("JSON parse error, stray '-01'"), .message([:])]),
  ("[1.]{}", [error("JSON parse error, stray '1.]'"), .message([:])]),
  ("[00, --1, 1e+, {\"]\": -}] {}", [error("JSON parse error, stray '00'"), .message([:])]),
  ("{\"a\": [1e400]}{}", [error("JSON parse error, number 1e400 is out of range"), .message([:])]),
  (
    "{\"a\": \"\u{1}}\", \"\0\": \"\t\\\"\"}{}",
    [error("JSON parse error, control character 1 in string"), .message([:])]
  ),
  (
    "{\"a\": \"\\ud800\", \"b\": [garbage7, 01, \"\\q\"]}{}",
    [error("JSON parse error, \\ud800 is not a valid Unicode character"), .message([:])]
  ),

  // Where it is not, the rest of the line is lost, and gives no second error.
  ("GARBAGE {} x\n{}", [error("JSON parse error, stray 'G'"), .message([:])]),
  ("01 {} x\n{}", [error("JSON parse error, stray '01'"), .message([:])]),
  ("{'a': 1}\n{}", [error("JSON parse error, stray '''"), .message([:])]),
  ("[1}]}\n{}", [error("JSON parse error, expected separator in list"), .message([:])]),
  ("{\"a\": [01}]}\n{}", [error("JSON parse error, stray '01'"), .message([:])]),

  // A line that ends inside a string lacks a quote, or the string goes on in the next line.
  (
    "{\"a\": \"x\n{}",
    [error("JSON parse error, control character 10 in string"), .message([:])]
  ),
  (
    "{\"a\": \"x\n y\"}{\"b\": 1}",
    [error("JSON parse error, control character 10 in string"), .message(["b": 1])]
  ),
  (
    "{\"a\": \"\\qx\r\n 1\"}\n]{}",
    [
      error("JSON parse error, invalid escape sequence in string"),
      error("JSON parse error, expecting value"), .message([:]),
    ]
  ),
  ("\0\0\0\n{}", [error("JSON parse error, stray '\\x00'"), .message([:])]),
  ("\u{FEFF}{}\n{}", [error("JSON parse error, stray '\\xef'"), .message([:])]),
]

@Test("A stream gives its messages and one error for each bad one", arguments: streams)
func framesStream(text: String, expected: [MessageFramer.Frame]) {
  #expect(frames(text.utf8) == expected)
}

@Test("It does not matter how a stream is cut", arguments: streams)
func framesPieces(text: String, expected: [MessageFramer.Frame]) {
  let bytes = Array(text.utf8)
  #expect(frames(bytes.map { [$0] }) == expected)
  for cut in bytes.indices {
    #expect(frames([Array(bytes[..<cut]), Array(bytes[cut...])]) == expected, "cut at \(cut)")
  }
}

@Test("QEMU's flush byte 0xFF is garbage, and behind it a message begins, whatever stood before")
func flushByte() {
  let flushed = [error("JSON parse error, stray '\\xff'"), .message([:])]
  #expect(frames([0xFF] + Array("{}".utf8)) == flushed)
  #expect(frames(Array("{\"a\": [".utf8) + [0xFF] + Array("{}".utf8)) == flushed)
  let inString = frames(Array("{\"a".utf8) + [0xFF] + Array("{}".utf8))
  #expect(inString == [error("JSON parse error, invalid UTF-8 sequence in string"), .message([:])])
  // It may also have been meant as part of the string.
  let meant = Array("{\"a\": \"b".utf8) + [0xFF] + Array("c\"}{}".utf8)
  #expect(frames(meant) == inString && frames(meant.map { [$0] }) == inString)
  // The rest of a bad line is no message.
  let skipped = frames(Array("GARBAGE {}".utf8) + [0xFF] + Array("{}".utf8))
  #expect(skipped == [error("JSON parse error, stray 'G'"), .message([:])])
}

@Test("Bytes that are no UTF-8 are one fault, and the string's quote still ends it")
func invalidUTF8() {
  let expected = [error("JSON parse error, invalid UTF-8 sequence in string"), .message([:])]
  for bytes: [UInt8] in [[0x80], [0xC3], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF0, 0x9F], [0xFE]] {
    let stream = Array("{\"a\": [\"}\\\"".utf8) + bytes + Array("\", \"]\"]}{}".utf8)
    #expect(frames(stream) == expected)
    #expect(frames(stream.map { [$0] }) == expected)
  }
}

@Test("A line that ended inside a string is no message that has begun")
func endedLine() {
  var framer = MessageFramer()
  framer.receive("{\"a\": \"x\n".utf8)
  #expect(framer.next() == error("JSON parse error, control character 10 in string"))
  #expect(framer.next() == nil)
  #expect(!framer.isInsideMessage && framer.heldBytes == 0)
}

@Test("The framer knows how long the message was")
func messageBytes() {
  var framer = MessageFramer()
  framer.receive(" {\"a\": 1}\n{}".utf8)
  #expect(framer.next() == .message(["a": 1]) && framer.messageBytes == 8)
  #expect(framer.next() == .message([:]) && framer.messageBytes == 2)
}

@Test("16 MiB without a newline give one error and hold no memory")
func endlessLine() {
  var framer = MessageFramer()
  var errors: [MessageFramer.Frame] = []
  framer.receive("{\"a\": \"".utf8)
  for _ in 0..<256 {
    framer.receive(Array(repeating: UInt8(ascii: "x"), count: 1 << 16))
    while let frame = framer.next() { errors.append(frame) }
  }
  #expect(errors == [error("JSON message size limit exceeded")])
  #expect(framer.isInsideMessage)
  framer.receive("\n{}".utf8)
  #expect(framer.next() == .message([:]))
  #expect(!framer.isInsideMessage)
}

@Test("Limits of depth and tokens are the request's")
func limits() {
  let depthError = [error("JSON nesting depth limit exceeded"), .message([:])]
  let deep = String(repeating: "[", count: 100_000)
  #expect(frames((deep + String(repeating: "]", count: 100_000) + "{}").utf8) == depthError)
  // What does not close ends at the limit of bytes, and with the line.
  let endless = String(repeating: "[{\"a\":", count: 1 << 20)
  #expect(frames((endless + "\n{}").utf8) == depthError)
  let wide = "[" + String(repeating: "1,", count: 20_000) + "1]{}"
  #expect(frames(wide.utf8) == [error("JSON token count limit exceeded"), .message([:])])
}

@Test("What is wrong is told as soon as it is seen, and once, and its rest is skipped")
func toldAtOnce() {
  let wrong = [
    (String(repeating: "[", count: 33), String(repeating: "]", count: 33)),
    (#"{"a": [01,"#, #" 02, "]"]}"#), (#"{"a": "\ud800","#, #""b": "["}"#), ("[x", "}\n"),
    ("[1 2", "\u{0}\n"),
  ]
  for (begin, rest) in wrong {
    var framer = MessageFramer()
    framer.receive((begin + " ").utf8)
    guard case .error = framer.next() else {
      Issue.record("\(begin)")
      continue
    }
    #expect(framer.next() == nil)
    #expect(framer.isInsideMessage && framer.heldBytes == begin.utf8.count + 1)
    framer.receive((rest + " {}").utf8)
    #expect(framer.next() == .message([:]), "\(begin)")
    #expect(framer.endOfBefore == begin.utf8.count + 1 + rest.utf8.count)
    #expect(framer.startOfLast == framer.endOfBefore + 1)
    #expect(framer.endOfLast == framer.startOfLast + 2)
    #expect(framer.next() == nil && framer.heldBytes == 0 && !framer.isInsideMessage)
  }
}

@Test("10,000 commands in one piece come out one by one")
func pipelined() {
  let text = String(repeating: "{\"execute\": \"query-version\"}", count: 10_000)
  #expect(frames(text.utf8).count == 10_000)
}

@Test("A message has begun with its first byte that is no whitespace")
func insideMessage() {
  var framer = MessageFramer()
  framer.receive(" \n ".utf8)
  #expect(framer.next() == nil)
  #expect(!framer.isInsideMessage)
  framer.receive("{".utf8)
  #expect(framer.next() == nil)
  #expect(framer.isInsideMessage)
}

@Test("What is left of a bad message is that message, and the next is another one")
func startOfPresent() {
  for (begin, rest) in [("{\"a\": [01,", " 1]}"), ("GARBAGE", " x\n")] {
    var framer = MessageFramer()
    framer.receive(begin.utf8)
    while framer.next() != nil {}
    #expect(framer.isInsideMessage && framer.startOfPresent == 0, "\(begin)")
    framer.receive("  ".utf8)
    #expect(framer.next() == nil && framer.startOfPresent == 0, "\(begin)")
    framer.receive((rest + "{\"execute\"").utf8)
    #expect(framer.next() == nil && framer.isInsideMessage)
    #expect(framer.startOfPresent == begin.utf8.count + 2 + rest.utf8.count, "\(begin)")
  }
}
