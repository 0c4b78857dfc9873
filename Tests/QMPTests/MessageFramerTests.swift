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

  // Where it is not, the rest of the line is lost, and gives no second error.
  ("GARBAGE {} x\n{}", [error("JSON parse error, stray 'G'"), .message([:])]),
  ("{\"a\": -01}{}\n{}", [error("JSON parse error, stray '-01'"), .message([:])]),
  ("{'a': 1}\n{}", [error("JSON parse error, stray '''"), .message([:])]),
  ("[1}]}\n{}", [error("JSON parse error, expected separator in list"), .message([:])]),
  (
    "{\"a\": \"x\n{}",
    [error("JSON parse error, control character 10 in string"), .message([:])]
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
  // The rest of a bad line is no message.
  let skipped = frames(Array("GARBAGE {}".utf8) + [0xFF] + Array("{}".utf8))
  #expect(skipped == [error("JSON parse error, stray 'G'"), .message([:])])
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
  let deep = String(repeating: "[", count: 100_000) + "\n{}"
  #expect(frames(deep.utf8) == [error("JSON nesting depth limit exceeded"), .message([:])])
  let wide = "[" + String(repeating: "1,", count: 20_000) + "1]\n{}"
  #expect(frames(wide.utf8) == [error("JSON token count limit exceeded"), .message([:])])
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
