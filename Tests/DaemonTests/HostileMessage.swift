import JSONValue

/// A message that a server must not take, by its number in the list of hostile inputs.
///
/// Isolation: value.
struct HostileMessage: CustomStringConvertible, Sendable {
  let number: Int
  let description: String
  let bytes: [UInt8]
  /// Words of the first error that it gets.
  let words: [String]

  init(_ number: Int, _ name: String, _ bytes: [UInt8], says words: String...) {
    self.number = number
    description = "\(number): \(name)"
    self.bytes = bytes
    self.words = words
  }

  init(_ number: Int, _ name: String, _ text: String, says words: String...) {
    self.number = number
    description = "\(number): \(name)"
    bytes = Array(text.utf8)
    self.words = words
  }

  /// A command with this id.
  private static func query(_ id: String) -> String {
    #"{"execute": "query-jobs", "id": \#(id)}"# + "\n"
  }

  /// A command with these arguments.
  private static func command(_ name: String, _ arguments: String) -> String {
    #"{"execute": "\#(name)", "arguments": {\#(arguments)}}"#
  }

  static let all: [HostileMessage] = texts + strings + numbers + sizes + meanings

  private static let texts = [
    HostileMessage(86, "a word that is none", "garbage\n", says: "invalid keyword 'garbage'"),
    HostileMessage(86, "a bracket too many", "]\n", says: "expecting value"),
    HostileMessage(86, "single quotes", "{'execute': 'query-jobs'}\n", says: "stray '''"),
    HostileMessage(86, "a member without a value", #"{"execute": }"#, says: "expecting value"),
    HostileMessage(87, "an array", #"[{"execute": "query-jobs"}]"#, says: "must be a JSON object"),
    HostileMessage(87, "a number", "1\n", says: "must be a JSON object"),
    HostileMessage(87, "a string", "\"query-jobs\"", says: "must be a JSON object"),
    HostileMessage(87, "nothing in it", "{}", says: "lacks member 'execute'"),
    HostileMessage(
      88, "a member twice", #"{"execute": "query-jobs", "execute": "quit"}"#,
      says: "duplicate key"),
    HostileMessage(
      88, "a member twice, once by an escape",
      #"{"execute": "query-jobs", "\u0065xecute": "quit"}"#,
      says: "duplicate key"),
    HostileMessage(
      88, "an argument twice", command("block-job-dismiss", #""id": "a", "id": "b""#),
      says: "duplicate key"),
    HostileMessage(
      101, "a comma at the end", #"{"execute": "query-jobs",}"#, says: "JSON parse error"),
    HostileMessage(
      101, "a byte order mark", [0xef, 0xbb, 0xbf] + Array("{\"execute\": \"query-jobs\"}\n".utf8),
      says: "stray '\\xef'"),
    HostileMessage(
      101, "UTF-16, little end first",
      [0xff, 0xfe] + "{\"execute\": \"quit\"}\n".utf16.flatMap { [UInt8($0), 0] }, says: "stray"),
    HostileMessage(
      101, "UTF-16, big end first",
      [0xfe, 0xff] + "{\"execute\": \"quit\"}\n".utf16.flatMap { [0, UInt8($0)] }, says: "stray"),
  ]

  private static let strings = [
    HostileMessage(
      89, "a string that is no UTF-8",
      Array(#"{"execute": "query-"#.utf8) + [0xff] + Array("\"}\n".utf8),
      says: "invalid UTF-8"),
    HostileMessage(
      90, "an overlong NUL",
      Array(#"{"execute": "query-"#.utf8) + [0xc0, 0x80] + Array("\"}\n".utf8),
      says: "invalid UTF-8"),
    HostileMessage(
      90, "an overlong slash",
      Array(#"{"execute": "query-"#.utf8) + [0xc0, 0xaf] + Array("\"}\n".utf8),
      says: "invalid UTF-8"),
    HostileMessage(91, "half a pair", #"{"execute": "\ud800"}"#, says: #"\ud800"#),
    HostileMessage(91, "the other half", #"{"execute": "\udc00x"}"#, says: #"\udc00"#),
    HostileMessage(
      91, "half a pair in UTF-8",
      Array(#"{"execute": "query-"#.utf8) + [0xed, 0xa0, 0x80] + Array("\"}\n".utf8),
      says: "invalid UTF-8"),
    HostileMessage(
      92, "NUL in a path",
      command(
        "blockdev-add",
        #""driver": "raw", "node-name": "n", "file": {"driver": "file", "filename": "/a\u0000b"}"#),
      says: #"\u0000"#),
    HostileMessage(93, "a raw NUL", Array("{\"execute\": \0\"query-jobs\"}\n".utf8), says: "\\x00"),
    HostileMessage(
      93, "a raw NUL in a string", Array("{\"execute\": \"query\0-jobs\"}\n".utf8),
      says: "control character 0"),
  ]

  private static let numbers =
    [
      HostileMessage(94, "1e400", #"{"execute": "query-jobs", "id": 1e400}"#, says: "1e400"),
      HostileMessage(94, "-1e400", #"{"execute": "query-jobs", "id": [-1e400]}"#, says: "-1e400"),
    ]
    + [
      "9223372036854775808", "18446744073709551615", "18446744073709551616", "-1",
      "-9223372036854775808", "-9223372036854775809", "1.5", "\"1\"",
    ].flatMap { number in
      [
        HostileMessage(
          95, "the speed \(number)",
          command("block-commit", #""device": "x", "speed": \#(number)"#), says: "'speed'"),
        HostileMessage(
          95, "the size \(number)",
          command("block_resize", #""node-name": "n", "size": \#(number)"#),
          says: "'size'"),
      ]
    }

  /// A value that is the one fault of a message whose end is clear.
  struct FaultyValue {
    let number: Int
    let bytes: [UInt8]
    /// Words of the error that its message gets.
    let words: String

    init(_ number: Int, _ text: String, says words: String) {
      self.init(number, Array(text.utf8), says: words)
    }

    init(_ number: Int, _ bytes: [UInt8], says words: String) {
      (self.number, self.bytes, self.words) = (number, bytes, words)
    }
  }

  static let faultyValues = [
    FaultyValue(89, [0x22, 0xC3, 0x28, 0x22], says: "invalid UTF-8"),
    FaultyValue(89, [0x22, 0xFF, 0x61, 0x22], says: "invalid UTF-8"),
    FaultyValue(90, [0x22, 0xC0, 0xAF, 0x22], says: "invalid UTF-8"),
    FaultyValue(91, #""\ud800""#, says: #"\ud800"#),
    FaultyValue(91, #""\udc00x""#, says: #"\udc00"#),
    FaultyValue(92, #""\u0000""#, says: #"\u0000"#),
    FaultyValue(93, "\"a\u{0}b\"", says: "control character 0"),
    FaultyValue(93, "\"a\u{1}b\"", says: "control character 1"),
    FaultyValue(93, "\"a\nb\"", says: "control character 10"),
    FaultyValue(94, "1e400", says: "1e400"),
    FaultyValue(94, "[-1e400]", says: "-1e400"),
    FaultyValue(94, "01", says: "stray '01'"),
    FaultyValue(94, "[1.]", says: "stray '1.]'"),
    FaultyValue(94, "[nan]", says: "invalid keyword 'nan'"),
    FaultyValue(96, nested(32), says: "depth limit"),
    FaultyValue(97, nested(100_000), says: "depth limit"),
    FaultyValue(
      100, "[" + String(repeating: "1,", count: 20_000) + "1]", says: "token count limit"),
  ]

  private static func nested(_ depth: Int) -> String {
    String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
  }

  private static let sizes = [
    HostileMessage(96, "33 containers", query(nested(32)), says: "depth limit"),
    HostileMessage(97, "100,000 containers", query(nested(100_000)), says: "depth limit"),
    HostileMessage(
      98, "1 MiB and a byte",
      #"{"execute": "query-jobs", "id": ""# + String(repeating: "x", count: 1 << 20) + "\"}\n",
      says: "size limit"),
    HostileMessage(
      99, "16 MiB without a newline", [0x22] + [UInt8](repeating: 0x78, count: 16 << 20),
      says: "size limit"),
    HostileMessage(
      100, "two million tokens",
      #"{"execute": "query-jobs", "id": ["# + String(repeating: "1,", count: 1_000_000) + "1]}\n",
      says: "limit"),
  ]

  private static let meanings = [
    HostileMessage(
      102, "an unknown member", #"{"execute": "query-jobs", "control": 1}"#, says: "'control'"),
    HostileMessage(
      102, "an unknown argument", command("query-jobs", #""x": 1"#), says: "'x'"),
    HostileMessage(
      102, "an unknown argument beside known ones", command("job-cancel", #""id": "j", "x": {}"#),
      says: "'x'"),
    HostileMessage(102, "an unknown command", #"{"execute": "stop"}"#, says: "stop"),
    HostileMessage(
      102, "arguments that are none", #"{"execute": "query-jobs", "arguments": []}"#,
      says: "'arguments'"),
  ]
}
