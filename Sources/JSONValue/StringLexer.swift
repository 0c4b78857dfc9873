/// Recognises one JSON string after its opening quote, byte by byte, and decodes it on demand.
///
/// Isolation: value.
struct StringLexer: Sendable {
  /// What a byte did to the string.
  enum Step {
    /// The string goes on.
    case more
    /// The byte was the closing quote; `fault` tells whether the string is good.
    case closed
    /// The byte ends the line, or all that stands before it, so that the closing quote is missing.
    case failed(JSONSyntaxError)
  }

  private enum State {
    /// Ordinary characters.
    case text
    /// A backslash has been read.
    case escape
    /// `\u` and this many of its digits have been read.
    case digits(Int)
  }

  /// The string's bytes so far, with escapes resolved; empty unless `reset(keeping: true)`.
  private(set) var decoded: [UInt8] = []
  /// The first byte that cannot stand in a string, or escape that means nothing. The string's end
  /// stays findable behind it.
  private(set) var fault: JSONSyntaxError?

  private var keeps = false
  private var state = State.text
  private var utf8 = UTF8Validator()
  /// The value of the `\u` digits so far.
  private var unit: UInt32 = 0
  /// A first surrogate whose second half must come next.
  private var highSurrogate: UInt32?

  /// Begins a string; its decoded bytes are wanted when `keeping`.
  mutating func reset(keeping: Bool) {
    decoded.removeAll(keepingCapacity: true)
    fault = nil
    keeps = keeping
    state = .text
    utf8 = UTF8Validator()
    highSurrogate = nil
  }

  /// Takes the next byte.
  mutating func scan(_ byte: UInt8) -> Step {
    if byte < 0x20 { note(.controlCharacter(byte)) }
    if !utf8.accept(byte) {
      note(.invalidUTF8)
      utf8 = UTF8Validator()
    }
    if let fault, byte == UInt8(ascii: "\n") || byte == 0xFF { return .failed(fault) }
    switch state {
    case .text: return scanText(byte)
    case .escape: scanEscape(byte)
    case .digits(let count):
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        state = .text
        note(.invalidEscape)
        return scanText(byte)
      }
      scanDigit(UInt32(digit), after: count)
    }
    return .more
  }

  private mutating func scanText(_ byte: UInt8) -> Step {
    if byte == UInt8(ascii: "\\") {
      state = .escape
      return .more
    }
    refuseLoneSurrogate()
    if byte == UInt8(ascii: "\"") { return .closed }
    keep(byte)
    return .more
  }

  private mutating func scanEscape(_ byte: UInt8) {
    if byte == UInt8(ascii: "u") {
      state = .digits(0)
      unit = 0
      return
    }
    state = .text
    refuseLoneSurrogate()
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): keep(byte)
    case UInt8(ascii: "b"): keep(0x08)
    case UInt8(ascii: "f"): keep(0x0C)
    case UInt8(ascii: "n"): keep(0x0A)
    case UInt8(ascii: "r"): keep(0x0D)
    case UInt8(ascii: "t"): keep(0x09)
    default: note(.invalidEscape)
    }
  }

  private mutating func scanDigit(_ digit: UInt32, after count: Int) {
    unit = unit << 4 | digit
    if count < 3 {
      state = .digits(count + 1)
    } else {
      state = .text
      finishUnit()
    }
  }

  /// Takes the four digits of a `\u` escape: a character, or half of one.
  private mutating func finishUnit() {
    if let high = highSurrogate, (0xDC00...0xDFFF).contains(unit) {
      highSurrogate = nil
      unit = 0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00)
    }
    refuseLoneSurrogate()
    if (0xD800...0xDBFF).contains(unit) {
      highSurrogate = unit
    } else if unit != 0, let scalar = Unicode.Scalar(unit), let bytes = UTF8.encode(scalar) {
      for byte in bytes { keep(byte) }
    } else {
      note(.invalidCharacter(Self.escape(unit)))
    }
  }

  /// Notes a first surrogate whose second half did not come.
  private mutating func refuseLoneSurrogate() {
    guard let high = highSurrogate else { return }
    highSurrogate = nil
    note(.invalidCharacter(Self.escape(high)))
  }

  private mutating func note(_ error: JSONSyntaxError) {
    fault = fault ?? error
  }

  private mutating func keep(_ byte: UInt8) {
    if keeps { decoded.append(byte) }
  }

  private static func escape(_ unit: UInt32) -> String {
    let digits = String(unit, radix: 16)
    return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
  }
}
