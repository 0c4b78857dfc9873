import JSONValue
import Testing

/// A text that is no JSON, or JSON that we do not take, and why.
struct RefusedText: CustomTestStringConvertible, Sendable {
  let text: [UInt8]
  let error: JSONSyntaxError

  init(_ text: String, _ error: JSONSyntaxError) { self.init(Array(text.utf8), error) }

  init(_ text: [UInt8], _ error: JSONSyntaxError) {
    self.text = text
    self.error = error
  }

  /// `bytes` between the quotes of a string.
  static func string(_ bytes: UInt8..., is error: JSONSyntaxError) -> RefusedText {
    RefusedText([0x22] + bytes + [0x22], error)
  }

  var testDescription: String {
    String(decoding: text.prefix(40), as: UTF8.self).debugDescription + " is \(error)"
  }
}

/// What json-c's strict mode lets through, and the rest of what RFC 8259 forbids.
let refusedTexts: [RefusedText] = [
  // Names twice: the earlier one would be gone without a trace.
  .init(#"{"a": 1, "a": 2}"#, .duplicateKey),
  .init(#"{"a": 1, "\u0061": 2}"#, .duplicateKey),
  .init(#"{"\/": 1, "/": 2}"#, .duplicateKey),
  .init(#"{"x": {"a": 1, "b": 2, "a": 3}}"#, .duplicateKey),
  .init(#"{"\ud83d\ude00": 1, "😀": 2}"#, .duplicateKey),
  .init(#"{"": 1, "": 2}"#, .duplicateKey),

  // Numbers.
  .init("-01", .stray("-01")),
  .init("01", .stray("01")),
  .init("00", .stray("00")),
  .init("-", .stray("- ")),
  .init("--1", .stray("--")),
  .init("-a", .stray("-a")),
  .init("1.", .stray("1. ")),
  .init("[1.]", .stray("1.]")),
  .init("1.e1", .stray("1.e")),
  .init("1e", .stray("1e ")),
  .init("1e+", .stray("1e+ ")),
  .init("1e+-1", .stray("1e+-")),
  .init(".5", .stray(".")),
  .init("+1", .stray("+")),
  .init("0x10", .trailingText),
  .init("1_000", .trailingText),
  .init("1e400", .numberOutOfRange("1e400")),
  .init("-1e400", .numberOutOfRange("-1e400")),
  .init(
    "-1" + String(repeating: "0", count: 309),
    .numberOutOfRange("-1" + String(repeating: "0", count: 30) + "...")),
  .init("NaN", .stray("N")),
  .init("Infinity", .stray("I")),
  .init("-Infinity", .stray("-I")),
  .init("nan", .invalidKeyword("nan")),

  // Words.
  .init("garbage", .invalidKeyword("garbage")),
  .init("True", .stray("T")),
  .init("nulll", .invalidKeyword("nulll")),
  .init("tru", .invalidKeyword("tru")),
  .init("truefalse", .invalidKeyword("truefalse")),
  .init(
    String(repeating: "z", count: 500),
    .invalidKeyword(String(repeating: "z", count: 32) + "...")),

  // Quotes and escapes.
  .init("'a'", .stray("'")),
  .init("{'a': 1}", .stray("'")),
  .init(#""\q""#, .invalidEscape),
  .init(#""\'""#, .invalidEscape),
  .init(#""\x41""#, .invalidEscape),
  .init(#""\u12""#, .invalidEscape),
  .init(#""\u12G4""#, .invalidEscape),
  .init(#""\U0041""#, .invalidEscape),
  .init(#""\ud800""#, .invalidCharacter("\\ud800")),
  .init(#""\ud800x""#, .invalidCharacter("\\ud800")),
  .init(#""\ud800\n""#, .invalidCharacter("\\ud800")),
  .init(#""\ud800\u0041""#, .invalidCharacter("\\ud800")),
  .init(#""\ud800\ud800\udc00""#, .invalidCharacter("\\ud800")),
  .init(#""\udc00""#, .invalidCharacter("\\udc00")),
  .init(#""\u0000""#, .invalidCharacter("\\u0000")),
  .init(#"{"a\u0000b": 1}"#, .invalidCharacter("\\u0000")),
  .init("\"a\nb\"", .controlCharacter(10)),
  .init("\"a\tb\"", .controlCharacter(9)),
  .init("\"a\u{0}b\"", .controlCharacter(0)),
  .init("\"a\u{1f}b\"", .controlCharacter(31)),

  // UTF-8: overlong, surrogate, above U+10FFFF, cut, alone.
  .string(0xC0, 0x80, is: .invalidUTF8),
  .string(0xC1, 0xBF, is: .invalidUTF8),
  .string(0xE0, 0x80, 0x80, is: .invalidUTF8),
  .string(0xE0, 0x9F, 0xBF, is: .invalidUTF8),
  .string(0xF0, 0x80, 0x80, 0x80, is: .invalidUTF8),
  .string(0xF0, 0x8F, 0xBF, 0xBF, is: .invalidUTF8),
  .string(0xED, 0xA0, 0x80, is: .invalidUTF8),
  .string(0xED, 0xBF, 0xBF, is: .invalidUTF8),
  .string(0xF4, 0x90, 0x80, 0x80, is: .invalidUTF8),
  .string(0xF5, 0x80, 0x80, 0x80, is: .invalidUTF8),
  .string(0xFF, is: .invalidUTF8),
  .string(0x80, is: .invalidUTF8),
  .string(0xC3, is: .invalidUTF8),
  .string(0xE2, 0x82, is: .invalidUTF8),
  .string(0xF0, 0x9F, 0x98, is: .invalidUTF8),
  .string(0xC3, 0xC3, 0xA9, is: .invalidUTF8),
  .string(UInt8(ascii: "\\"), 0xFF, is: .invalidUTF8),
  .init([0xEF, 0xBB, 0xBF] + Array("{}".utf8), .stray("\\xef")),
  .init([0x00, 0x7B, 0x00, 0x7D], .stray("\\x00")),
  .init([0x7B, 0x00, 0x7D, 0x00], .stray("\\x00")),
  .init([0xFF], .stray("\\xff")),
  .init([0x0C], .stray("\\x0c")),
  .init("\u{a0}1", .stray("\\xc2")),

  // Grammar.
  .init("", .endOfInput),
  .init("   ", .endOfInput),
  .init("{", .endOfInput),
  .init("[1", .endOfInput),
  .init("\"abc", .endOfInput),
  .init(#"{"a":1,}"#, .expectingValue),
  .init("[1,]", .expectingValue),
  .init("[,1]", .expectingValue),
  .init("[1,,2]", .expectingValue),
  .init("{,}", .expectingValue),
  .init(#"{"a"}"#, .missingColon),
  .init(#"{"a" 1}"#, .missingColon),
  .init(#"{"a":}"#, .expectingValue),
  .init(#"{"a"::1}"#, .expectingValue),
  .init(#"{"a":1 "b":2}"#, .expectedSeparatorInObject),
  .init(#"{"a":1:2}"#, .expectedSeparatorInObject),
  .init("[1 2]", .expectedSeparatorInArray),
  .init("[1:2]", .expectedSeparatorInArray),
  .init(#"["a""b"]"#, .expectedSeparatorInArray),
  .init("{1: 2}", .keyIsNoString),
  .init("{null: 2}", .keyIsNoString),
  .init("{[]: 2}", .keyIsNoString),
  .init("{{}: 2}", .keyIsNoString),
  .init(#"{"a": 1, 2: 3}"#, .keyIsNoString),
  .init("}", .expectingValue),
  .init("]", .expectingValue),
  .init(",", .expectingValue),
  .init(":", .expectingValue),
  .init("[1}", .expectedSeparatorInArray),
  .init(#"{"a": 1]"#, .expectedSeparatorInObject),
  .init("{} {}", .trailingText),
  .init("1 2", .trailingText),
  .init("{}x", .trailingText),
  .init("/* c */ 1", .stray("/")),
  .init("1 // c", .trailingText),
  .init("# c", .stray("#")),
]

@Test("Texts that JSON, or we, forbid are refused with their reason", arguments: refusedTexts)
func refusesText(refused: RefusedText) {
  #expect(throws: refused.error) { try JSONValue.parse(refused.text) }
}
