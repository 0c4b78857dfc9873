/// Checks UTF-8 byte by byte: no overlong form, no surrogate, nothing above U+10FFFF.
///
/// Isolation: value.
struct UTF8Validator: Sendable {
  /// Continuation bytes that must still come.
  private var missing = 0
  /// What the next of them may be: the first one after a lead byte is what rules out overlong
  /// forms, surrogates and the far end.
  private var allowed: ClosedRange<UInt8> = 0x80...0xBF

  /// Whether no character is half read.
  var isBetweenCharacters: Bool { missing == 0 }

  /// Takes the next byte; false when it cannot stand here.
  mutating func accept(_ byte: UInt8) -> Bool {
    if missing > 0 {
      guard allowed.contains(byte) else { return false }
      missing -= 1
      allowed = 0x80...0xBF
      return true
    }
    switch byte {
    case 0x00...0x7F: return true
    case 0xC2...0xDF: (missing, allowed) = (1, 0x80...0xBF)
    case 0xE0: (missing, allowed) = (2, 0xA0...0xBF)
    case 0xED: (missing, allowed) = (2, 0x80...0x9F)
    case 0xE1...0xEF: (missing, allowed) = (2, 0x80...0xBF)
    case 0xF0: (missing, allowed) = (3, 0x90...0xBF)
    case 0xF1...0xF3: (missing, allowed) = (3, 0x80...0xBF)
    case 0xF4: (missing, allowed) = (3, 0x80...0x8F)
    default: return false
    }
    return true
  }
}
