/// Why a text is not a list of keys and values. The sentences are QEMU's.
///
/// Isolation: value.
package enum KeyValueError: Error, Hashable, Sendable {
  /// Not a key: names with dots between them, in which numbers may follow.
  case invalidKey(String)
  /// A key's part has more than 127 bytes.
  case tooLong(String, isPart: Bool)
  /// More parts in one key than a JSON text may have containers.
  case tooDeep(String)
  /// A key stands alone.
  case missingValue(String)
  /// The same key with a value and with further parts, or with numbers and with names.
  case inconsistent(String)
  /// Numbers that leave one out.
  case missingElement(String)
}

extension KeyValueError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .invalidKey(let key): "Invalid parameter '\(key)'"
    case .tooLong(let part, let isPart):
      "Parameter\(isPart ? " fragment" : "") '\(part)' is too long"
    case .tooDeep(let key): "Parameter '\(key)' has too many parts"
    case .missingValue(let key): "Expected '=' after parameter '\(key)'"
    case .inconsistent(let key): "Parameters '\(key).*' used inconsistently"
    case .missingElement(let key): "Parameter '\(key)' missing"
    }
  }
}

extension JSONValue {
  /// The object that `text` spells in the dotted form of QEMU's command line: `a=1,b.c=2,d.0=x`
  /// is an `a`, an object `b` with a `c`, and an array `d` of one element. Every value that is no
  /// object or array is a string. Two commas stand for one inside a value; of a key that comes
  /// again, the last counts. The first value may stand without its key, if that is `implied`.
  package static func parse(
    keyValues text: String, implied: String? = nil
  ) throws(KeyValueError) -> JSONValue {
    var parser = KeyValueParser(text)
    try parser.parse(implied: implied)
    return .object(try parser.root.object(at: ""))
  }
}

/// What a key stands for so far.
private indirect enum KeyValueNode {
  case text(String)
  case group(KeyValueGroup)
}

/// Keys that share their first parts.
private struct KeyValueGroup {
  private var members: [(name: String, node: KeyValueNode)] = []

  /// Puts `value` where `parts` lead; `key` is all that came before them, with a dot at its end.
  mutating func put(
    _ value: String, _ parts: ArraySlice<String>, at key: String
  ) throws(KeyValueError) {
    guard let name = parts.first else { preconditionFailure("a key has a part") }
    let rest = parts.dropFirst()
    let index = members.firstIndex { $0.name == name }
    var node = index.map { members[$0].node }
    switch node {
    case .group(var group)?:
      guard !rest.isEmpty else { throw .inconsistent(key + name) }
      try group.put(value, rest, at: "\(key)\(name).")
      node = .group(group)
    case .text?, nil:
      guard node == nil || rest.isEmpty else { throw .inconsistent(key + name) }
      if rest.isEmpty {
        node = .text(value)
      } else {
        var group = KeyValueGroup()
        try group.put(value, rest, at: "\(key)\(name).")
        node = .group(group)
      }
    }
    guard let node else { return }
    if let index { members[index].node = node } else { members.append((name, node)) }
  }

  /// The group as an object; `key` leads to it.
  func object(at key: String) throws(KeyValueError) -> JSONObject {
    var object = JSONObject()
    for member in members {
      object.append(member.name, try KeyValueGroup.value(member.node, at: key + member.name))
    }
    return object
  }

  /// The group as an array where its names are numbers, else as an object.
  private func value(at key: String) throws(KeyValueError) -> JSONValue {
    let numbered = members.compactMap { member in Int(member.name).map { ($0, member.node) } }
    if numbered.isEmpty { return .object(try object(at: "\(key).")) }
    guard numbered.count == members.count else { throw .inconsistent(key) }
    var elements: [JSONValue] = []
    for (index, node) in numbered.sorted(by: { $0.0 < $1.0 }) {
      // "01" is 1 too.
      guard index == elements.count else { throw .missingElement("\(key).\(elements.count)") }
      elements.append(try KeyValueGroup.value(node, at: "\(key).\(index)"))
    }
    return .array(elements)
  }

  private static func value(
    _ node: KeyValueNode, at key: String
  ) throws(KeyValueError) -> JSONValue {
    switch node {
    case .text(let text): .string(text)
    case .group(let group): try group.value(at: key)
    }
  }
}

/// Walks through the text once.
private struct KeyValueParser {
  /// The most bytes of a key's part, as in QEMU.
  private static let longestPart = 127

  private let bytes: [UInt8]
  private var position = 0
  private(set) var root = KeyValueGroup()

  init(_ text: String) { bytes = Array(text.utf8) }

  mutating func parse(implied: String?) throws(KeyValueError) {
    var implied = implied
    while position < bytes.count {
      let rest = bytes[position...]
      let end = rest.firstIndex { $0 == UInt8(ascii: "=") || $0 == comma } ?? bytes.count
      let key = String(decoding: bytes[position..<end], as: UTF8.self)
      let hasValue = end < bytes.count && bytes[end] == UInt8(ascii: "=")
      if let name = implied.take(), !hasValue, !key.isEmpty {
        try root.put(value(), [name], at: "")
        continue
      }
      let parts = try KeyValueParser.parts(of: key)
      guard hasValue else { throw .missingValue(key) }
      position = end + 1
      try root.put(value(), parts[...], at: "")
    }
  }

  private let comma = UInt8(ascii: ",")

  /// The value that begins here, and the comma after it, are behind.
  private mutating func value() -> String {
    var value: [UInt8] = []
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      if byte == comma {
        guard position < bytes.count, bytes[position] == comma else { break }
        position += 1
      }
      value.append(byte)
    }
    return String(decoding: value, as: UTF8.self)
  }

  private static func parts(of key: String) throws(KeyValueError) -> [String] {
    let parts = key.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count < JSONLimits.request.depth else { throw .tooDeep(key) }
    for (index, part) in parts.enumerated() {
      let isNumber = index > 0 && part.utf8.allSatisfy { isDigit($0) } && Int(part) != nil
      guard isNumber || isName(part.utf8) else { throw .invalidKey(key) }
      guard part.utf8.count <= longestPart else {
        throw .tooLong(String(part), isPart: parts.count > 1)
      }
    }
    return parts.map(String.init)
  }

  private static func isName(_ part: Substring.UTF8View) -> Bool {
    guard let first = part.first, isLetter(first) else { return false }
    return part.allSatisfy {
      isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
    }
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")
  }
}
