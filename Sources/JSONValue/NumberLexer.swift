/// Recognises one JSON number, byte by byte, and keeps its text.
///
/// Isolation: value.
struct NumberLexer: Sendable {
  /// What a byte did to the number.
  enum Step {
    /// It belongs to the number, which may go on.
    case more
    /// It does not belong to the number, which was complete before it; `fault` tells whether it is
    /// one that we take.
    case endedBefore(fault: JSONSyntaxError?)
    /// It breaks the number; `complaint` says how.
    case broken
  }

  /// Where in RFC 8259's `number` the text stands.
  private enum State {
    case start, minus, zero, integer, point, fraction, exponent, exponentSign, exponentDigits

    /// Whether the text so far is a whole number.
    var isComplete: Bool {
      switch self {
      case .zero, .integer, .fraction, .exponentDigits: true
      case .start, .minus, .point, .exponent, .exponentSign: false
      }
    }
  }

  /// Whether the number that has ended is an integer that 64 bits do not hold. Its value is a
  /// double, as in QEMU.
  private(set) var isWide = false

  private var state = State.start
  private var text: [UInt8] = []
  private var isInteger = true

  /// Whether `byte` can be a number's first.
  static func begins(with byte: UInt8) -> Bool {
    byte == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  /// Forgets the last number, keeping its memory.
  mutating func reset() {
    state = .start
    text.removeAll(keepingCapacity: true)
    isInteger = true
    isWide = false
  }

  /// Takes the next byte.
  mutating func scan(_ byte: UInt8) -> Step {
    if let next = successor(byte) {
      if next == .point || next == .exponent { isInteger = false }
      state = next
      text.append(byte)
      return .more
    }
    // A digit after a leading zero would otherwise read as a second number.
    let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    return state.isComplete && !isDigit ? .endedBefore(fault: settle()) : .broken
  }

  /// How `byte` breaks the number.
  func complaint(about byte: UInt8) -> JSONSyntaxError {
    .stray(JSONSyntaxError.quote(text + [byte]))
  }

  /// The state after `byte`, or nil where the grammar does not let it follow.
  private func successor(_ byte: UInt8) -> State? {
    switch (state, byte) {
    case (.start, UInt8(ascii: "-")): .minus
    case (.start, UInt8(ascii: "0")), (.minus, UInt8(ascii: "0")): .zero
    case (.start, UInt8(ascii: "1")...UInt8(ascii: "9")),
      (.minus, UInt8(ascii: "1")...UInt8(ascii: "9")),
      (.integer, UInt8(ascii: "0")...UInt8(ascii: "9")):
      .integer
    case (.zero, UInt8(ascii: ".")), (.integer, UInt8(ascii: ".")): .point
    case (.point, UInt8(ascii: "0")...UInt8(ascii: "9")),
      (.fraction, UInt8(ascii: "0")...UInt8(ascii: "9")):
      .fraction
    case (.zero, UInt8(ascii: "e")), (.zero, UInt8(ascii: "E")),
      (.integer, UInt8(ascii: "e")), (.integer, UInt8(ascii: "E")),
      (.fraction, UInt8(ascii: "e")), (.fraction, UInt8(ascii: "E")):
      .exponent
    case (.exponent, UInt8(ascii: "+")), (.exponent, UInt8(ascii: "-")): .exponentSign
    case (.exponent, UInt8(ascii: "0")...UInt8(ascii: "9")),
      (.exponentSign, UInt8(ascii: "0")...UInt8(ascii: "9")),
      (.exponentDigits, UInt8(ascii: "0")...UInt8(ascii: "9")):
      .exponentDigits
    default: nil
    }
  }

  /// Finds what the finished number is kept in, or gives the reason why nothing holds it.
  private mutating func settle() -> JSONSyntaxError? {
    let digits = String(decoding: text, as: UTF8.self)
    if isInteger, Int64(digits) != nil || UInt64(digits) != nil { return nil }
    isWide = isInteger
    let isFinite = Double(digits)?.isFinite ?? false
    return isFinite ? nil : .numberOutOfRange(JSONSyntaxError.quote(text))
  }
}
