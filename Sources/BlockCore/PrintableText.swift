extension Unicode.Scalar {
  /// Whether it would move a terminal's cursor, end a line, or show what follows in another order
  /// than it stands: control characters (C0, DEL, C1), line and paragraph separators, and the
  /// marks, embeddings, overrides and isolates of bidirectional text.
  package var isUnprintable: Bool {
    switch value {
    case 0..<0x20, 0x7f..<0xa0, 0x61c, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069: true
    default: false
    }
  }
}

/// Names and sentences that come from outside, as they may reach a person: on a terminal, in a log,
/// in an error.
package enum PrintableText {
  /// `bytes` as text: what is unprintable, and what is no UTF-8, stands as `\xNN`, byte for byte.
  package static func of(_ bytes: [UInt8]) -> String {
    if let text = String(validating: bytes, as: UTF8.self) { return text.printable }
    var shown = ""
    var parser = Unicode.UTF8.ForwardParser()
    var input = bytes.makeIterator()
    var position = 0
    while true {
      switch parser.parseScalar(from: &input) {
      case .valid(let encoded):
        shown += String(UTF8.decode(encoded)).printable
        position += encoded.count
      case .error(let length):
        shown += bytes[position..<position + length].map(escaped).joined()
        position += length
      case .emptyInput: return shown
      }
    }
  }

  /// `bytes` as text for programs: as they are where they are UTF-8 and hold no NUL, which clients
  /// do not take in a string; else as for people.
  package static func forPrograms(_ bytes: [UInt8]) -> String {
    let text = bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
    return text ?? of(bytes)
  }

  /// The byte as `\xNN`.
  package static func escaped(_ byte: UInt8) -> String {
    "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
  }
}

extension String {
  /// The text with its unprintable characters as `\xNN`, byte for byte.
  package var printable: String { printable(keeping: []) }

  /// The same, but for the characters in `kept`.
  package func printable(keeping kept: Set<Unicode.Scalar>) -> String {
    guard unicodeScalars.contains(where: { $0.isUnprintable && !kept.contains($0) }) else {
      return self
    }
    var shown = ""
    for scalar in unicodeScalars {
      if scalar.isUnprintable, !kept.contains(scalar) {
        shown += UTF8.encode(scalar)?.map(PrintableText.escaped).joined() ?? ""
      } else {
        shown.unicodeScalars.append(scalar)
      }
    }
    return shown
  }
}
