/// Numbers of bytes as people write and read them.
///
/// Isolation: value.
package enum ByteCount {
  private static let units = Array("bkmgtpe")

  /// The number of bytes that `text` says, as QEMU's tools read it: digits, perhaps a fraction, and
  /// a suffix b, k, M, G, T, P or E of powers of 1024 in either case; or hexadecimal digits after
  /// 0x. Nil for anything else, for a fraction of a byte, and for what no `Int` can hold.
  package static func parse(_ text: String) -> Int? {
    if let digits = text.hasPrefix("0x") || text.hasPrefix("0X") ? text.dropFirst(2) : nil {
      return digits.allSatisfy(\.isHexDigit) ? Int(digits, radix: 16) : nil
    }
    var number = text[...]
    var shift = 0
    if let last = number.last, let unit = units.firstIndex(of: Character(last.lowercased())) {
      number.removeLast()
      shift = 10 * unit
    }
    let parts = number.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let whole = parts.first, isDigits(whole), let count = Int(whole) else { return nil }
    let (bytes, overflow) = count.multipliedReportingOverflow(by: 1 << shift)
    guard !overflow else { return nil }
    guard parts.count == 2 else { return bytes }
    guard shift > 0, isDigits(parts[1]), let fraction = Double("0.\(parts[1])") else { return nil }
    let (sum, tooMany) = bytes.addingReportingOverflow(
      Int((fraction * Double(1 << shift)).rounded()))
    return tooMany ? nil : sum
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
