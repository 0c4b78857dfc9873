package import JSONValue

/// A word out of a fixed list. The raw values are the words on the wire.
///
/// Isolation: value.
package protocol WireEnum: WireValue, RawRepresentable, CaseIterable where RawValue == String {}

extension WireEnum {
  package static var expectation: String { "string" }
  package static var shape: WireShape { .enumeration(allCases.map(\.rawValue)) }

  package init(wire value: JSONValue, at path: WirePath) throws(QMPError) {
    let word = try String(wire: value, at: path)
    guard let known = Self(rawValue: word) else { throw .invalidValue(path, word) }
    self = known
  }

  package var wire: JSONValue { .string(rawValue) }
}
