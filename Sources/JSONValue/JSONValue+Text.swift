import BlockCore

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
      text.append(contentsOf: Self.digits(of: value).utf8)
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

  /// A number without fraction has none in its text, as in QEMU, up to the 17 digits that QEMU
  /// writes; any other has the fewest digits that mean the same double.
  private static func digits(of value: Double) -> String {
    guard value.magnitude < 1e17, value == value.rounded() else { return value.description }
    return value == 0 && value.sign == .minus ? "-0" : Int(value).description
  }

  /// Appends `value` in quotes, with the escapes that RFC 8259 demands, and those that keep what a
  /// terminal would obey or turn round from whoever looks at the text.
  private static func appendQuoted(_ value: String, to text: inout [UInt8]) {
    text.append(UInt8(ascii: "\""))
    // All of those but DEL begin with one of three bytes.
    if value.utf8.contains(where: { $0 == 0x7f || $0 == 0xc2 || $0 == 0xd8 || $0 == 0xe2 }) {
      for scalar in value.unicodeScalars {
        if scalar.isUnprintable {
          appendEscape(scalar.value, to: &text)
        } else {
          appendBytes(String(scalar).utf8, to: &text)
        }
      }
    } else {
      appendBytes(value.utf8, to: &text)
    }
    text.append(UInt8(ascii: "\""))
  }

  private static func appendBytes(_ bytes: some Sequence<UInt8>, to text: inout [UInt8]) {
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        text.append(UInt8(ascii: "\\"))
        text.append(byte)
      case 0..<0x20: appendEscape(UInt32(byte), to: &text)
      default: text.append(byte)
      }
    }
  }

  /// Appends the escape for a character of the basic plane.
  private static func appendEscape(_ value: UInt32, to text: inout [UInt8]) {
    text.append(UInt8(ascii: "\\"))
    switch value {
    case 0x0a: text.append(UInt8(ascii: "n"))
    case 0x0d: text.append(UInt8(ascii: "r"))
    case 0x09: text.append(UInt8(ascii: "t"))
    default:
      let digits = Array("0123456789abcdef".utf8)
      text.append(UInt8(ascii: "u"))
      for shift in [12, 8, 4, 0] as [UInt32] { text.append(digits[Int(value >> shift & 15)]) }
    }
  }
}

extension JSONValue: CustomStringConvertible {
  package var description: String { String(decoding: utf8, as: UTF8.self) }
}
