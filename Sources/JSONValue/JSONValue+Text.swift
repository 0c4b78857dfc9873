extension JSONValue {
  /// The value as UTF-8 text on one line, in QEMU's spacing: `{"a": 1, "b": [1, 2]}`.
  package var utf8: [UInt8] {
    var text: [UInt8] = []
    append(to: &text)
    return text
  }

  /// Appends the value's text to `text`.
  package func append(to text: inout [UInt8]) {
    switch self {
    case .null: text.append(contentsOf: "null".utf8)
    case .bool(let value): text.append(contentsOf: (value ? "true" : "false").utf8)
    case .integer(let value): text.append(contentsOf: value.description.utf8)
    case .unsigned(let value): text.append(contentsOf: value.description.utf8)
    case .double(let value):
      precondition(value.isFinite, "JSON has no form for \(value)")
      text.append(contentsOf: value.description.utf8)
    case .string(let value): Self.appendQuoted(value, to: &text)
    case .array(let elements):
      text.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { text.append(contentsOf: ", ".utf8) }
        element.append(to: &text)
      }
      text.append(UInt8(ascii: "]"))
    case .object(let object):
      text.append(UInt8(ascii: "{"))
      for (index, member) in object.members.enumerated() {
        if index > 0 { text.append(contentsOf: ", ".utf8) }
        Self.appendQuoted(member.name, to: &text)
        text.append(contentsOf: ": ".utf8)
        member.value.append(to: &text)
      }
      text.append(UInt8(ascii: "}"))
    }
  }

  /// Appends `value` in quotes, with the escapes that RFC 8259 demands and no others.
  private static func appendQuoted(_ value: String, to text: inout [UInt8]) {
    text.append(UInt8(ascii: "\""))
    for byte in value.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        text.append(UInt8(ascii: "\\"))
        text.append(byte)
      case UInt8(ascii: "\n"): text.append(contentsOf: "\\n".utf8)
      case UInt8(ascii: "\r"): text.append(contentsOf: "\\r".utf8)
      case UInt8(ascii: "\t"): text.append(contentsOf: "\\t".utf8)
      case 0..<0x20:
        let digits = Array("0123456789abcdef".utf8)
        text.append(contentsOf: "\\u00".utf8)
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
      default: text.append(byte)
      }
    }
    text.append(UInt8(ascii: "\""))
  }
}

extension JSONValue: CustomStringConvertible {
  package var description: String { String(decoding: utf8, as: UTF8.self) }
}
