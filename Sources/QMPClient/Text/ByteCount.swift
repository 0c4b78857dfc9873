/// Numbers of bytes as people write and read them.
///
/// Isolation: value.
package enum ByteCount {
  private static let units = Array("bkmgtpe")

  /// Why a text is no number of bytes.
  package enum Fault: Error, Hashable, Sendable {
    /// It does not read like one, or says a fraction of a byte.
    case malformed
    /// No `Int` can hold it.
    case tooLarge
  }

  /// The number of bytes that `text` says, as QEMU's tools read it: digits, perhaps a fraction, and
  /// a suffix b, k, M, G, T, P or E of powers of 1024 in either case; or hexadecimal digits after
  /// 0x.
  package static func parse(_ text: String) throws(Fault) -> Int {
    if text.hasPrefix("0x") || text.hasPrefix("0X") {
      let digits = text.dropFirst(2)
      guard !digits.isEmpty, digits.allSatisfy(\.isHexDigit) else { throw .malformed }
      return try number(digits, radix: 16)
    }
    var number = text[...]
    var shift = 0
    if let last = number.last, let unit = units.firstIndex(of: Character(last.lowercased())) {
      number.removeLast()
      shift = 10 * unit
    }
    let parts = number.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.allSatisfy(isDigits), parts.count == 1 || shift > 0 else { throw .malformed }
    let (bytes, overflow) = try ByteCount.number(parts[0], radix: 10)
      .multipliedReportingOverflow(by: 1 << shift)
    guard !overflow else { throw .tooLarge }
    guard parts.count == 2, let fraction = Double("0.\(parts[1])") else { return bytes }
    let (sum, tooMany) = bytes.addingReportingOverflow(
      Int((fraction * Double(1 << shift)).rounded()))
    guard !tooMany else { throw .tooLarge }
    return sum
  }

  /// The number that `digits`, which are nothing else, say.
  private static func number(_ digits: Substring, radix: Int) throws(Fault) -> Int {
    guard let number = Int(digits, radix: radix) else { throw .tooLarge }
    return number
  }

  /// `bytes` with three digits and a unit of powers of 1024, as QEMU's tools show it: `64 MiB`.
  package static func text(_ bytes: Int) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    var value = Double(bytes)
    var unit = 0
    // 1000 to 1023 would need a fourth digit.
    while value >= 1000 && unit + 1 < units.count {
      value /= 1024
      unit += 1
    }
    let places = value >= 100 ? 0 : value >= 10 ? 1 : 2
    return "\(trimmed(fixed(value, places: places))) \(units[unit])"
  }

  /// `value` with exactly `places` digits (at most 9) behind the point; at most 2^53 in size.
  package static func fixed(_ value: Double, places: Int) -> String {
    var scale = 1
    for _ in 0..<places { scale *= 10 }
    let scaled = Int((value * Double(scale)).rounded())
    guard places > 0 else { return String(scaled) }
    let (whole, rest) = scaled.quotientAndRemainder(dividingBy: scale)
    let digits = String(rest)
    return "\(whole).\(String(repeating: "0", count: places - digits.count))\(digits)"
  }

  private static func trimmed(_ text: String) -> String {
    guard text.contains(".") else { return text }
    var result = text[...]
    while result.last == "0" { result.removeLast() }
    if result.last == "." { result.removeLast() }
    return String(result)
  }

  private static func isDigits(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
  }
}
