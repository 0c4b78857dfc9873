import BlockCore

/// The names that an image gives to feature bits (specification, "Feature name table"), made safe
/// to print.
///
/// Isolation: value.
package struct FeatureNames: Sendable {
  private var incompatible: [Int: String] = [:]

  /// Reads the table's 48-byte entries; what does not fit is ignored, since the names only help to
  /// print an error.
  package init(_ data: [UInt8]?) {
    guard let data else { return }
    for start in stride(from: 0, to: data.count - 47, by: 48) where data[start] == 0 {
      let name = data[(start + 2)..<(start + 48)].prefix { $0 != 0 }
      incompatible[Int(data[start + 1])] = String(
        decoding: name.map { (0x20..<0x7f).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }
  }

  /// The set bits of `bits` by name, or by number where the image gives none.
  package func describe(incompatible bits: UInt64) -> String {
    (0..<64).filter { bits & (1 << $0) != 0 }
      .map {
        incompatible[$0] ?? "Unknown incompatible feature: \(String(UInt64(1) << $0, radix: 16))"
      }
      .joined(separator: ", ")
  }
}
