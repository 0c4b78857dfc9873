/// The members of a JSON object in the order they were written.
///
/// Lookup walks the members: QMP's objects have a handful, and order must survive a round trip.
/// Two objects are equal when the same members stand in the same order.
///
/// Isolation: value.
package struct JSONObject: Hashable, Sendable {
  /// One name and its value.
  package struct Member: Hashable, Sendable {
    /// The member's name, unique within its object.
    package let name: String
    /// What stands under the name.
    package let value: JSONValue
  }

  /// All members, oldest first.
  package private(set) var members: [Member] = []

  /// An object without members.
  package init() {}

  /// An object of `members`, whose names must differ.
  package init(members: some Sequence<(String, JSONValue)>) {
    for (name, value) in members { append(name, value) }
  }

  /// Adds a member after the others. The caller knows that `name` is new.
  package mutating func append(_ name: String, _ value: JSONValue) {
    members.append(Member(name: name, value: value))
  }

  /// The value under `name`, or nil.
  package subscript(name: String) -> JSONValue? {
    members.first { $0.name == name }?.value
  }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  package init(dictionaryLiteral elements: (String, JSONValue)...) { self.init(members: elements) }
}
