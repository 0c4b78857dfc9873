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
    switch value {
    case .bool(let value): self = value
    case .string(let word) where path.isText:
      guard let value = SpelledValue.boolean(word) else {
        throw .outOfRange(path, expects: "'on' or 'off'")
      }
      self = value
    default: throw .wrongScalar(path, expected: Self.expectation)
    }
  }

  package var wire: JSONValue { .bool(self) }
}

extension Int: WireValue {
  package static var expectation: String { "integer" }
  package static var shape: WireShape { .builtin(.int) }

  package init(wire value: JSONValue, at path: WirePath) throws(QMPError) {
    switch value {
    case .integer(let value): self = value
    case .string(let digits) where path.isText:
      guard let value = SpelledValue.integer(digits) else {
        throw .outOfRange(path, expects: Self.expectation)
      }
      self = value
    default: throw .wrongScalar(path, expected: Self.expectation)
    }
  }

  package var wire: JSONValue { .integer(self) }
}

extension String: WireValue {
  package static var expectation: String { "string" }
  package static var shape: WireShape { .builtin(.string) }

  package init(wire value: JSONValue, at path: WirePath) throws(QMPError) {
    guard case .string(let value) = value else {
      throw .wrongScalar(path, expected: Self.expectation)
    }
    self = value
  }

  package var wire: JSONValue { .string(self) }
}

extension QMPError {
  /// Something else stands where a word, a number or a boolean should. Among keys and values that
  /// can only be further parts of the key.
  fileprivate static func wrongScalar(_ path: WirePath, expected: String) -> QMPError {
    path.isText
      ? QMPError("Parameters '\(path.text).*' are unexpected")
      : .invalidType(path, expected: expected)
  }
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
