/// Booleans and numbers as QEMU's command line spells them.
enum SpelledValue {
  /// What `word` means; nil where it is none of QEMU's words.
  static func boolean(_ word: String) -> Bool? {
    switch word {
    case "on", "yes", "true", "y": true
    case "off", "no", "false", "n": false
    default: nil
    }
  }

  /// The number that `text` is: decimal, hexadecimal after `0x`, or octal after a zero, as in C.
  static func integer(_ text: String) -> Int? {
    let sign = text.prefix { $0 == "-" || $0 == "+" }
    guard sign.count <= 1 else { return nil }
    let digits = text.dropFirst(sign.count)
    let number: UInt?
    if digits.hasPrefix("0x") || digits.hasPrefix("0X") {
      number = unsigned(digits.dropFirst(2), radix: 16)
    } else {
      number = unsigned(digits, radix: digits.hasPrefix("0") && digits != "0" ? 8 : 10)
    }
    return number.flatMap { sign == "-" ? Int("-\($0)") : Int(exactly: $0) }
  }

  /// Swift's own reading, without the sign that it would take again.
  private static func unsigned(_ digits: Substring, radix: Int) -> UInt? {
    guard digits.first?.isHexDigit ?? false else { return nil }
    return UInt(digits, radix: radix)
  }
}
