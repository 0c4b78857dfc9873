import JSONValue
import TestSupport
import Testing

let acceptedTexts: [(text: String, value: JSONValue)] = [
  ("null", nil),
  ("true", true),
  ("false", false),
  ("0", 0),
  ("-0", 0),
  ("-1", -1),
  ("9223372036854775807", .integer(.max)),
  ("-9223372036854775808", .integer(.min)),
  ("9223372036854775808", .unsigned(1 << 63)),
  ("18446744073709551615", .unsigned(.max)),
  // What 64 bits do not hold is a double, as in QEMU.
  ("18446744073709551616", 18446744073709551616.0),
  ("-9223372036854775809", -9223372036854775808.0),
  (
    "[-123456789012345678901234567890,18446744073709551616, {\"1\":18446744073709551616}]",
    [-1.2345678901234568e29, 1.8446744073709552e19, ["1": 1.8446744073709552e19]]
  ),
  ("0.5", 0.5),
  ("-0.5", -0.5),
  ("1.0", 1.0),
  ("0e0", 0.0),
  ("1E2", 100.0),
  ("1e+2", 100.0),
  ("25e-1", 2.5),
  ("1e-400", 0.0),
  ("1.7976931348623157e308", .double(.greatestFiniteMagnitude)),
  ("12345678901234567890123.5", 12345678901234567890123.5),
  (#""""#, ""),
  (#""a""#, "a"),
  (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
  (#""\u00e9\u20AC""#, "é€"),
  (#""\ud83d\ude00""#, "😀"),
  (#""\udbff\udfff""#, "\u{10FFFF}"),
  ("\"é€😀\"", "é€😀"),
  (
    "\"\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}\"",
    "\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}"
  ),
  ("[]", []),
  ("{}", [:]),
  (" [ 1 , \"x\" , null ] ", [1, "x", nil]),
  ("\t{\r\n\"b\":1,\"a\":[{}],\"\":{\"b\":2}}\n", ["b": 1, "a": [[:]], "": ["b": 2]]),
  // Two spellings of one letter are two names: JSON compares code points.
  (#"{"\u00e9": 1, "e\u0301": 2}"#, ["\u{e9}": 1, "e\u{301}": 2]),
]

@Test("Good texts give their value", arguments: acceptedTexts)
func accepts(text: String, value: JSONValue) throws {
  #expect(try JSONValue.parse(text) == value)
}

@Test("A value's text parses back to the value", arguments: acceptedTexts.map(\.value))
func roundTrip(value: JSONValue) throws {
  #expect(try JSONValue.parse(value.utf8) == value.asWritten)
}

@Test(
  "A double has the text that QEMU gives it, but the fewest digits where it has a fraction",
  arguments: [
    (0.0, "0"), (-0.0, "-0"), (1.0, "1"), (-7.0, "-7"), (100.0, "100"),
    (1e16, "10000000000000000"), (-99999999999999984.0, "-99999999999999984"), (1e17, "1e+17"),
    (18446744073709551616.0, "1.8446744073709552e+19"), (0.1, "0.1"), (2.5, "2.5"),
    (-1e-7, "-1e-07"), (.greatestFiniteMagnitude, "1.7976931348623157e+308"),
  ])
func doubleTexts(value: Double, text: String) {
  #expect(JSONValue.double(value).description == text)
}

@Test("Text is written in QEMU's spacing, in the members' order, with few escapes")
func writesText() {
  let value: JSONValue = [
    "b": 1, "a": [true, nil, 2.5, "é\u{1}\u{1f}\"\\/\n\r\t"], "z": [:], "y": [],
    "u": .unsigned(.max),
  ]
  #expect(
    value.description
      == #"{"b": 1, "a": [true, null, 2.5, "é\u0001\u001f\"\\/\n\r\t"], "z": {}, "y": [], "#
      + #""u": 18446744073709551615}"#)
}

@Test("What a terminal would obey or turn round is escaped, and means the same")
func escapesUnprintable() throws {
  let name = "a\u{7f}\u{9b}2J\u{202e}é\u{61c}\u{2028}\u{1b}\n👍"
  let text = JSONValue.string(name).description
  #expect(text == #""a\u007f\u009b2J\u202eé\u061c\u2028\u001b\n👍""#)
  #expect(try JSONValue.parse(Array(text.utf8)) == .string(name))
}

@Test("Accessors give a value only for its own type")
func accessors() {
  let value: JSONValue = ["n": 7, "s": "x", "b": true, "l": [1, 2]]
  #expect(value["n"]?.integerValue == 7)
  #expect(value["n"]?.stringValue == nil)
  #expect(value["s"]?.stringValue == "x")
  #expect(value["b"]?.boolValue == true)
  #expect(value["l"]?[1] == 2)
  #expect(value["l"]?[2] == nil)
  #expect(value["none"] == nil)
  #expect(value["n"]?["x"] == nil)
  #expect(JSONValue(UInt64(5)) == 5)
  #expect(JSONValue(UInt64.max) == .unsigned(.max))
}
