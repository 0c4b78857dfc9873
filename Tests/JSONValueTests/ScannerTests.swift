import JSONValue
import Testing

/// Feeds `text` until the value is over; gives the step and the bytes used.
private func scan(
  _ text: some Sequence<UInt8>, limits: JSONLimits = .request
) -> (step: JSONScanner.Step, used: Int) {
  var scanner = JSONScanner(limits: limits)
  var used = 0
  for byte in text {
    let step = scanner.scan(byte)
    guard step == .more else { return (step, used + 1) }
    used += 1
  }
  return (.more, used)
}

private func nested(_ depth: Int) -> [UInt8] {
  Array(repeating: UInt8(ascii: "["), count: depth)
    + Array(repeating: UInt8(ascii: "]"), count: depth)
}

@Test(
  "The end of a value is found at its last byte",
  arguments: [
    ("{}{}", 2), ("  {\"a\": \"}\"}\n", 12), ("[[1], 2] x", 8), ("\"a\\\"b\"c", 6), ("}{}", 1),
  ])
func findsEnd(text: String, used: Int) {
  let result = scan(text.utf8)
  guard case .ended(before: false, _) = result.step else {
    Issue.record("\(result.step)")
    return
  }
  #expect(result.used == used)
}

@Test("A bare number or word ends before the byte that follows it")
func endsBefore() {
  #expect(scan("12 ".utf8).step == .ended(before: true, fault: nil))
  #expect(scan("true{".utf8).step == .ended(before: true, fault: nil))
  #expect(scan("12".utf8).step == .more)
}

@Test(
  "After a fault in the grammar the end of the value is still found",
  arguments: [
    (#"{"a" 1, "b": [1 2, {"c" "}"}]} {}"#, JSONSyntaxError.missingColon, 30),
    (#"{"a": garbage, "b": {}} {}"#, .invalidKeyword("garbage"), 23),
    (#"["\u12", "\ud800]"] 1"#, .invalidEscape, 19),
    (#"{"a": 1, "a": "\"}"} x"#, .duplicateKey, 20),
    (#"[01, {"a": -}] 1"#, .stray("01"), 14),
    (#"{"a": 1e400} {}"#, .numberOutOfRange("1e400"), 12),
    ("[\"\u{1}]\", \"\0\"] 1", .controlCharacter(1), 11),
  ])
func faultKeepsEnd(text: String, fault: JSONSyntaxError, used: Int) {
  let result = scan(text.utf8)
  #expect(result.step == .ended(before: false, fault: fault))
  #expect(result.used == used)
}

@Test("A fault is reported in place of the hopeless error behind it")
func firstErrorWins() {
  #expect(scan(#"{"a" 1, 'x'}"#.utf8).step == .failed(.missingColon))
}

@Test("32 open containers are taken, 33 and 100,000 are not")
func depthLimit() throws {
  #expect(scan(nested(32)).step == .ended(before: false, fault: nil))
  _ = try JSONValue.parse(nested(32))
  #expect(scan(nested(33)).step == .ended(before: false, fault: .tooDeep))
  #expect(scan(nested(100_000)).used == 200_000)
}

@Test("However deep, the kind of each bracket counts")
func deepBrackets() {
  let pairs = 100_000
  let open = String(repeating: "{[", count: pairs)
  let close = String(repeating: "]}", count: pairs - 1)
  let good = scan((open + close + "]}").utf8)
  #expect(good.step == .ended(before: false, fault: .keyIsNoString) && good.used == 4 * pairs)
  let bad = scan((open + close + "}]").utf8)
  #expect(bad.step == .failed(.keyIsNoString) && bad.used == 4 * pairs - 1)
}

@Test("10,000 tokens are taken, one more is not")
func tokenLimit() {
  // A bracket, then 4,998 numbers with their commas: 9,997 tokens.
  let start = "[" + String(repeating: "1,", count: 4_998)
  #expect(scan((start + "{}]").utf8).step == .ended(before: false, fault: nil))
  #expect(scan((start + "{},").utf8).step == .more)
  #expect(scan((start + "{},1]").utf8).step == .ended(before: false, fault: .tooManyTokens))
}

@Test("A message of 1 MiB is taken, one byte more is not; whitespace before it is free")
func byteLimit() {
  func message(_ bytes: Int) -> [UInt8] {
    [0x20, 0x22] + Array(repeating: UInt8(ascii: "x"), count: bytes - 2) + [0x22]
  }
  #expect(scan(message(1 << 20)).step == .ended(before: false, fault: nil))
  #expect(scan(message(1 << 20 + 1)).step == .failed(.tooLong))
  let digits = Array(repeating: UInt8(ascii: "1"), count: 1 << 20 + 1)
  #expect(scan(digits).step == .failed(.tooLong))
  let letters = Array(repeating: UInt8(ascii: "a"), count: 1 << 20 + 1)
  #expect(scan(letters).step == .failed(.tooLong))
  let spaces = [UInt8(ascii: "[")] + Array(repeating: UInt8(ascii: " "), count: 1 << 20)
  #expect(scan(spaces).step == .failed(.tooLong))
}
