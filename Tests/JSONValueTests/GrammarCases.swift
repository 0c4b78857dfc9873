import JSONValue

/// A text, by its class in the grammar of RFC 8259, and whether it is taken.
///
/// Isolation: value.
struct GrammarCase: CustomStringConvertible, Sendable {
  let description: String
  let text: [UInt8]

  init(_ name: String, _ text: [UInt8]) {
    description = name
    self.text = text
  }

  init(_ name: String, _ text: String) { self.init(name, Array(text.utf8)) }

  /// `bytes` between the quotes of a string.
  init(_ name: String, string bytes: [UInt8]) { self.init(name, [0x22] + bytes + [0x22]) }
}

private func hex(_ number: some BinaryInteger, _ digits: Int) -> String {
  let text = String(number, radix: 16)
  return String(repeating: "0", count: max(0, digits - text.count)) + text
}

private func nested(_ open: String, _ close: String, _ depth: Int, _ inside: String = "") -> String
{
  String(repeating: open, count: depth) + inside + String(repeating: close, count: depth)
}

// MARK: - What is taken

/// Texts that the grammar allows, and that are taken.
let takenCases: [GrammarCase] =
  takenStructures + takenNumbers + takenStrings + takenUnicode + takenNesting

private let takenStructures: [GrammarCase] = [
  GrammarCase("an array of nothing", "[]"), GrammarCase("an array of spaces", "[ \n ]"),
  GrammarCase("an object of nothing", "{}"), GrammarCase("an object of spaces", "{\t\r}"),
  GrammarCase("each literal", "[true,false,null]"), GrammarCase("a literal alone", "null"),
  GrammarCase("a number alone", "42"), GrammarCase("a number and a newline", "42\n"),
  GrammarCase("a string alone", #""x""#), GrammarCase("an empty string alone", #""""#),
  GrammarCase("each kind of space before and behind", "\t\r\n [] \n\r\t"),
  GrammarCase("no space at all", #"{"a":[1,{"b":null}],"c":"d"}"#),
  GrammarCase("space around everything", " { \"a\" : [ 1 , 2 ] , \"b\" : { } } "),
  GrammarCase("arrays of several", "[1,[],{},\"\",null]"),
  GrammarCase("an empty name", #"{"":0}"#), GrammarCase("a name of spaces", #"{"  ":0}"#),
  GrammarCase("names that differ by case", #"{"a":1,"A":2}"#),
  GrammarCase("names that differ by a space", #"{"a":1,"a ":2}"#),
  GrammarCase("a name twice, in objects apart", #"[{"a":1},{"a":2},{"b":{"b":3}}]"#),
  GrammarCase("a name of escapes", #"{"\n\u0041\\":1}"#),
  GrammarCase("a long name", "{\"" + String(repeating: "n", count: 5000) + "\":1}"),
  GrammarCase("names of what objects of other languages have", #"{"__proto__":1,"length":2}"#),
  GrammarCase(
    "many members", "{" + (0..<2000).map { "\"\($0)\":\($0)" }.joined(separator: ",") + "}"),
]

private let takenNumbers: [GrammarCase] =
  [
    "0", "-0", "1", "-1", "10", "123", "0.0", "-0.0", "0.1", "1.5", "123.456", "1e1", "1E1", "1e+1",
    "1E+1", "1e-1", "1E-1", "0e1", "0e+1", "0E-1", "0.0e0", "1.5e10", "-1.5E-10", "1e00", "1e007",
    "1e308", "4.9e-324", "1e-999999", "0e999999", "2.2250738585072014e-308", "9007199254740993",
    "9223372036854775807", "-9223372036854775808", "18446744073709551615",
    "18446744073709551616", "-9223372036854775809", "123456789012345678901234567890",
    "1" + String(repeating: "0", count: 308),
    "0.000000000000000000001",
    "123456789012345678901234567890.5", "1." + String(repeating: "0", count: 1000) + "1",
  ].map { GrammarCase("the number \($0.prefix(40))", "[\($0)]") }

private let takenStrings: [GrammarCase] =
  [#"\""#, #"\\"#, #"\/"#, #"\b"#, #"\f"#, #"\n"#, #"\r"#, #"\t"#].map {
    GrammarCase("the escape \($0)", "[\"\($0)\"]")
  }
  + [0x20, 0x21, 0x23, 0x2f, 0x5b, 0x5d, 0x7e, 0x7f].map {
    GrammarCase("byte 0x\(hex($0, 2)) in a string", string: [UInt8($0)])
  }
  + [
    GrammarCase("brackets and commas in a string", #""{}[]:,""#),
    GrammarCase("two slashes and a star in a string", #""/*//*/""#),
    GrammarCase("a backslash and u, escaped", #""\\u0000""#),
    GrammarCase("a quote at the end, escaped", #""x\"""#),
    GrammarCase("an escape beside an escape", #""\n\\\"\u0041\t""#),
    GrammarCase("64 KiB", "\"" + String(repeating: "x", count: 65_536) + "\""),
  ]

private let takenUnicode: [GrammarCase] =
  [
    0x1, 0x1f, 0x22, 0x5c, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfdd0, 0xfeff, 0xfffd, 0xfffe,
    0xffff,
  ].flatMap { code in
    [
      GrammarCase("U+\(hex(code, 4)) by its escape", "\"\\u\(hex(code, 4))\""),
      GrammarCase("U+\(hex(code, 4)), capitals", "\"\\u\(hex(code, 4).uppercased())\""),
    ]
  }
  + [0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfffe, 0xffff, 0x10000, 0x1fffe, 0x10ffff].compactMap {
    Unicode.Scalar($0 as UInt32).map {
      GrammarCase("U+\(hex($0.value, 4)) in UTF-8", "\"\(Character($0))\"")
    }
  }
  + ["d800 dc00", "d800 dfff", "dbff dc00", "dbff dfff", "D834 DD1E"].map {
    let halves = $0.split(separator: " ")
    return GrammarCase("the pair \($0)", "\"\\u\(halves[0])\\u\(halves[1])\"")
  }

private let takenNesting: [GrammarCase] = [
  GrammarCase("32 arrays", nested("[", "]", 32)),
  GrammarCase("32 objects", nested(#"{"a":"#, "}", 31, "{}")),
  GrammarCase("32 of both", nested(#"[{"a":"#, "}]", 16, "1")),
  GrammarCase(
    "32 again and again",
    "[" + Array(repeating: nested("[", "]", 31), count: 20).joined(separator: ",") + "]"),
]

// MARK: - What is refused

/// Texts that the grammar forbids.
let forbiddenCases: [GrammarCase] =
  forbiddenStructures + forbiddenNumbers + forbiddenStrings + forbiddenUTF8 + cutOff

private let forbiddenStructures: [GrammarCase] =
  [
    "", " ", "[", "{", "]", "}", ":", ",", "[]]", "{}}", "[}", "{]", "[[]", "{{}}", "[1", "[1,",
    "[,", "[,]", "[,1]", "[1,]", "[1,,2]", "[,,]", "[1 2]", "[1:2]", "[1;2]", "[1}", "[\"a\"\"b\"]",
    "{,}", "{\"a\"}", "{\"a\":}", "{\"a\" 1}", "{\"a\"::1}", "{\"a\":1,}", "{\"a\":1,,}",
    "{\"a\":1 \"b\":2}", "{:1}", "{a:1}", "{'a':1}", "{1:1}", "{null:1}", "{[]:1}", "{{}:1}",
    "{\"a\":1,\"b\"}", "{\"a\":1]", "{\"a\":1:2}", "{\"a\",\"b\"}", "[\"a\":1]", "[] []", "{} {}",
    "1 2", "1,2", "[]x", "{}x", "nul", "nulll", "Null", "NULL", "tru", "True", "truee", "fals",
    "False", "undefined", "nil", "none", "[nul]", "[tru,]", "*", "[*]", "#", "[1]#", "//", "/**/1",
    "[1/**/]", "[/**/1]", "[1//\n]", "<null>", "(1)", "a", "å", "\u{a0}[]", "[]\u{a0}",
    "\u{feff}[]",
    "\u{2028}[]", "[\u{b}]", "[\u{c}]", "[]\u{c}", "[\u{0}]", "\u{0}", "[1\u{0}]", "[]\u{0}", "\\",
    "[\\]",
    "@", "`", "&", "=", "[1=2]", "{\"a\"=1}", "...", "[...]",
  ].map { GrammarCase("the text \($0.debugDescription)", $0) }

private let forbiddenNumbers: [GrammarCase] =
  [
    "+1", "+0", "+.5", "-", "--1", "-+1", "+-1", "01", "-01", "00", "-00", "007", "1.", "-1.", ".1",
    "-.1", ".", "-.", "1..2", "1.2.3", "1.e1", ".e1", "1e", "1E", "1e+", "1e-", "1e++1", "1e+-1",
    "1e1.5", "1e1e1", "e1", "1ee1", "1.0e", "0e", "0.e1", "0x1", "0X1F", "0b1", "0o7", "1_000",
    "1,000.0.",
    "1'000", "1 000", "NaN", "-NaN", "nan", "Inf", "Infinity", "-Infinity", "+Infinity", "1f", "1L",
    "1n", "1d", "$1", "1%", "- 1", "-\n1", "1 .5", "1. 5", "1 e5", "１", "٣", "−1", "½", "1e４",
    "1\u{0}2",
    "1a", "-a", "1-", "1+", "1+1", "2.-1", "-1x", "0.1x", "1e5x", "1\\u0030",
  ].map { GrammarCase("the number \($0.debugDescription)", "[\($0)]") }

private let forbiddenStrings: [GrammarCase] =
  (0..<0x20).map {
    GrammarCase("byte 0x\(hex($0, 2)) in a string", string: [0x61, UInt8($0), 0x61])
  }
  + (0x20..<0x7f).filter { !#""\/bfnrtu"#.utf8.contains(UInt8($0)) }.map {
    GrammarCase("the escape of byte 0x\(hex($0, 2))", string: [0x5c, UInt8($0)])
  }
  + [
    #""\u""#, #""\u0""#, #""\u00""#, #""\u004""#, #""\u004g""#, #""\u 041""#, #""\u+041""#,
    #""\u-041""#, #""\u0x41""#, #""\u{41}""#, #""\U0041""#, #""\u00４1""#, #""\x41""#, #""\101""#,
    #""\"#, #""\""#, #""x\"#, #""x"#, "\"", "\"\n\"", "'x'", "“x”", "`x`", "\"x\"y", "\"x\" \"y\"",
    "x\"y\"",
    #"\"x\""#, #"["a\"]"#, #"["a]"#, #"{"a\":1}"#, #"{"a:1}"#,
  ].map { GrammarCase("the text \($0.debugDescription)", $0) }

/// Byte sequences that are no UTF-8: alone, cut, overlong, surrogates, and above U+10FFFF.
private let forbiddenUTF8: [GrammarCase] =
  ((0x80...0xc1).map { [UInt8($0)] } + (0xf5...0xff).map { [UInt8($0), 0x80, 0x80, 0x80] }
  + [
    [0xc2], [0xdf], [0xe0], [0xe1, 0x80], [0xef, 0xbf], [0xf0], [0xf0, 0x90], [0xf0, 0x90, 0x80],
    [0xf4, 0x8f, 0xbf], [0xc2, 0x00], [0xc2, 0x7f], [0xc2, 0xc0], [0xe1, 0x7f, 0x80],
    [0xe1, 0x80, 0x7f], [0xe1, 0x80, 0xc0], [0xf1, 0x80, 0x80, 0x7f], [0xc0, 0x80], [0xc0, 0xaf],
    [0xc1, 0xbf], [0xe0, 0x80, 0x80], [0xe0, 0x80, 0xaf], [0xe0, 0x9f, 0xbf],
    [0xf0, 0x80, 0x80, 0x80], [0xf0, 0x8f, 0xbf, 0xbf], [0xed, 0xa0, 0x80], [0xed, 0xad, 0xbf],
    [0xed, 0xae, 0x80], [0xed, 0xaf, 0xbf], [0xed, 0xb0, 0x80], [0xed, 0xbf, 0xbf],
    [0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80],
    [0xfc, 0x84, 0x80, 0x80, 0x80, 0x80], [0xc3, 0xa9, 0xa9], [0x61, 0xff, 0x61],
  ]).flatMap { (bytes: [UInt8]) in
    let name = bytes.map { hex($0, 2) }.joined(separator: " ")
    return [
      GrammarCase("the bytes \(name) in a string", string: bytes),
      GrammarCase("the bytes \(name) in a name", Array("{\"".utf8) + bytes + Array("\":1}".utf8)),
      GrammarCase("the bytes \(name) outside", Array("[".utf8) + bytes + Array("]".utf8)),
    ]
  }
  + [
    GrammarCase("UTF-16, little end first", [0xff, 0xfe, 0x5b, 0x00, 0x5d, 0x00]),
    GrammarCase("UTF-16, big end first", [0xfe, 0xff, 0x00, 0x5b, 0x00, 0x5d]),
    GrammarCase("UTF-16 without its mark", [0x00, 0x5b, 0x00, 0x5d]),
    GrammarCase("UTF-32", [0x5b, 0x00, 0x00, 0x00, 0x5d, 0x00, 0x00, 0x00]),
    GrammarCase("a byte order mark alone", [0xef, 0xbb, 0xbf]),
  ]

/// Every beginning of a message.
private let cutOff: [GrammarCase] = {
  let message = Array(#"{"a": [true, -1.5e+3, "\u00e9\n", {"b": null}], "c": "é"}"#.utf8)
  return (0..<message.count).map {
    GrammarCase("a message cut off at byte \($0)", Array(message[..<$0]))
  }
}()

// MARK: - What is for the reader to say

/// Texts that the grammar allows, or says nothing about, and that are refused: numbers that do not
/// fit, names that stand twice, halves of surrogate pairs, NUL, and what is too long.
let declinedCases: [GrammarCase] =
  [
    "1e309", "-1e309", "1e999999", "2" + String(repeating: "0", count: 308),
  ].map { GrammarCase("the number \($0.prefix(40))", "[\($0)]") }
  + [
    #"{"a":1,"a":2}"#, #"{"a":1,"a":1}"#, #"{"a":1,"\u0061":2}"#, #"{"":1,"":2}"#,
    #"[{"x":{"b":1,"c":2,"b":3}}]"#,
  ].map { GrammarCase("a name twice: \($0)", $0) }
  + [
    "d800", "dbff", "dc00", "dfff", "DEAD", #"d800\ud800"#, #"dc00\ud800"#, #"d800\u0041"#, "d800x",
    #"d800\n"#, #"d83d\ude"#, #"d800\udbff\udfff"#, "0000",
  ].map { GrammarCase("the escape \\u\($0)", "\"\\u\($0)\"") }
  + [
    GrammarCase("33 arrays", nested("[", "]", 33)),
    GrammarCase("33 objects", nested(#"{"a":"#, "}", 33, "1")),
    GrammarCase("100,000 arrays", nested("[", "]", 100_000)),
    GrammarCase("100,000 arrays that are not closed", String(repeating: "[", count: 100_000)),
    GrammarCase("10,001 tokens", "[" + String(repeating: "1,", count: 5000) + "1]"),
    GrammarCase("two million tokens", "[" + String(repeating: "1,", count: 1_000_000) + "1]"),
    GrammarCase("more than 1 MiB", "\"" + String(repeating: "x", count: 1 << 20) + "\""),
  ]
