package import JSONValue

/// Takes the members of one JSON object by name, and knows in the end which nobody took.
///
/// Isolation: value.
package struct ArgumentDecoder {
  /// Where the object stands.
  let path: WirePath
  private let members: [JSONObject.Member]
  private var isTaken: [Bool]

  /// A decoder for `value`, which must be an object.
  package init(_ value: JSONValue, at path: WirePath) throws(QMPError) {
    guard case .object(let object) = value else {
      throw .invalidType(path, expected: "object")
    }
    self.path = path
    members = object.members
    isTaken = Array(repeating: false, count: members.count)
  }

  /// The member `name`, or nil when it is absent. A null is a value, not an absence.
  package mutating func optional<Value: WireValue>(_ name: String) throws(QMPError) -> Value? {
    guard let index = members.firstIndex(where: { $0.name == name }) else { return nil }
    isTaken[index] = true
    return try Value(wire: members[index].value, at: path.member(name))
  }

  /// The member `name`, which must be there.
  package mutating func required<Value: WireValue>(_ name: String) throws(QMPError) -> Value {
    guard let value: Value = try optional(name) else { throw .missing(path.member(name)) }
    return value
  }

  /// Refuses the member `name` if it is a number outside `range`.
  func check(
    _ name: String, lies range: ClosedRange<Int>, expectation: String
  ) throws(QMPError) {
    guard let member = members.first(where: { $0.name == name }),
      let value = try? Int(wire: member.value, at: path.member(name)), !range.contains(value)
    else { return }
    throw .outOfRange(path.member(name), expects: expectation)
  }

  /// Refuses the member `name` unless it is a length in bytes. QEMU's sizes are unsigned; what no
  /// file can have is refused here already.
  func checkIsSize(_ name: String) throws(QMPError) {
    switch members.first(where: { $0.name == name })?.value {
    case nil: break
    case .integer(let value) where value >= 0: break
    case .integer, .unsigned:
      throw .outOfRange(path.member(name), expects: "a value from 0 to 2^63 - 1")
    default: throw .outOfRange(path.member(name), expects: "uint64")
    }
  }

  /// Refuses the member `name` whatever it holds.
  func refuse(_ name: String) throws(QMPError) {
    guard members.contains(where: { $0.name == name }) else { return }
    throw .unsupported(path.member(name))
  }

  /// Refuses the first member that nobody took.
  package func finish() throws(QMPError) {
    guard path.refusesUnknown, let index = isTaken.firstIndex(of: false) else { return }
    throw .unexpected(path.member(QMPError.quoted(members[index].name)))
  }
}
