/// One JSON value, immutable once built.
///
/// Integers keep all 64 bits. `unsigned` holds only what `integer` cannot, so that every number has
/// one form and `==` means what it says. A `double` without fraction is another value than an
/// integer, since no argument that is an integer may be written so; but its text is the same.
///
/// Isolation: value.
package enum JSONValue: Hashable, Sendable {
  case null
  case bool(Bool)
  /// A number without fraction and exponent, from -2^63 to 2^63 - 1.
  case integer(Int)
  /// A number without fraction and exponent, from 2^63 to 2^64 - 1.
  case unsigned(UInt64)
  /// Any other number; always finite.
  case double(Double)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)
}

extension JSONValue {
  /// The value as a bool, or nil for any other type.
  package var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }

  /// The value as an integer, or nil for any other type and above 2^63 - 1.
  package var integerValue: Int? { if case .integer(let value) = self { value } else { nil } }

  /// The value as a string, or nil for any other type.
  package var stringValue: String? { if case .string(let value) = self { value } else { nil } }

  /// The elements of an array, or nil for any other type.
  package var arrayValue: [JSONValue]? { if case .array(let value) = self { value } else { nil } }

  /// The members of an object, or nil for any other type.
  package var objectValue: JSONObject? { if case .object(let value) = self { value } else { nil } }

  /// The member `name` of an object; nil when there is none or this is no object.
  package subscript(name: String) -> JSONValue? { objectValue?[name] }

  /// Element `index` of an array; nil when there is none or this is no array.
  package subscript(index: Int) -> JSONValue? {
    guard let elements = arrayValue, elements.indices.contains(index) else { return nil }
    return elements[index]
  }

  /// `value` in the form that this type keeps for it.
  package init(_ value: UInt64) {
    self = Int(exactly: value).map(JSONValue.integer) ?? .unsigned(value)
  }
}

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringInterpolation,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  package init(nilLiteral: ()) { self = .null }
  package init(booleanLiteral value: Bool) { self = .bool(value) }
  package init(integerLiteral value: Int) { self = .integer(value) }
  package init(floatLiteral value: Double) { self = .double(value) }
  package init(stringLiteral value: String) { self = .string(value) }
  package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  package init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(JSONObject(members: elements))
  }
}
