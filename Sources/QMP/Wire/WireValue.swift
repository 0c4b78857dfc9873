package import JSONValue

/// A type that has one form in JSON.
///
/// Isolation: value.
package protocol WireValue: Equatable, Sendable {
  /// What QEMU calls the type in "Invalid parameter type for 'x', expected: …".
  static var expectation: String { get }

  /// What the type looks like in the schema.
  static var shape: WireShape { get }

  /// Reads the value that stands at `path`.
  init(wire value: JSONValue, at path: WirePath) throws(QMPError)

  /// The value's JSON form.
  var wire: JSONValue { get }
}

extension Bool: WireValue {
  package static var expectation: String { "boolean" }
  package static var shape: WireShape { .builtin(.boolean) }

  package init(wire value: JSONValue, at path: WirePath) throws(QMPError) {
    guard case .bool(let value) = value else {
      throw .invalidType(path, expected: Self.expectation)
    }
    self = value
  }

  package var wire: JSONValue { .bool(self) }
}

extension Int: WireValue {
  package static var expectation: String { "integer" }
  package static var shape: WireShape { .builtin(.int) }

  package init(wire value: JSONValue, at path: WirePath) throws(QMPError) {
    guard case .integer(let value) = value else {
      throw .invalidType(path, expected: Self.expectation)
    }
    self = value
  }

  package var wire: JSONValue { .integer(self) }
}

extension String: WireValue {
  package static var expectation: String { "string" }
  package static var shape: WireShape { .builtin(.string) }

  package init(wire value: JSONValue, at path: WirePath) throws(QMPError) {
    guard case .string(let value) = value else {
      throw .invalidType(path, expected: Self.expectation)
    }
    self = value
  }

  package var wire: JSONValue { .string(self) }
}

extension Array: WireValue where Element: WireValue {
  package static var expectation: String { "array" }
  package static var shape: WireShape { .array(of: Element.self) }

  package init(wire value: JSONValue, at path: WirePath) throws(QMPError) {
    guard case .array(let elements) = value else {
      throw .invalidType(path, expected: Self.expectation)
    }
    self = []
    reserveCapacity(elements.count)
    for (index, element) in elements.enumerated() {
      append(try Element(wire: element, at: path.element(index)))
    }
  }

  package var wire: JSONValue { .array(map(\.wire)) }
}

extension JSONValue: WireValue {
  package static var expectation: String { "any" }
  package static var shape: WireShape { .builtin(.value) }

  package init(wire value: JSONValue, at path: WirePath) throws(QMPError) { self = value }

  package var wire: JSONValue { self }
}
