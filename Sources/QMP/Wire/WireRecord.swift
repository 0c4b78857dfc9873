package import JSONValue

/// A JSON object with known members. The table `members` is the one place that names them; reading,
/// writing, the errors and the documentation all come from it.
///
/// A record begins blank and is filled: `JobCancel { $0.id = "j" }`. What a blank record holds is
/// the default of its members.
///
/// Isolation: value.
package protocol WireRecord: WireValue {
  /// A blank record.
  init()

  /// All members, in the order they are read and written.
  static var members: [WireMember<Self>] { get }
}

extension WireRecord {
  package static var expectation: String { "object" }
  package static var shape: WireShape { .object(Self.self) }

  /// A record that `fill` completes.
  package init(_ fill: (inout Self) -> Void) {
    self.init()
    fill(&self)
  }

  package init(wire value: JSONValue, at path: WirePath) throws(QMPError) {
    var decoder = try ArgumentDecoder(value, at: path)
    self = try Self(from: &decoder)
    try decoder.finish()
  }

  /// Reads this record's members out of an object that may have others too.
  init(from decoder: inout ArgumentDecoder) throws(QMPError) {
    self.init()
    for member in Self.members { try member.decode(&decoder, &self) }
  }

  package var wire: JSONValue { .object(object) }

  /// The record's members in their JSON form.
  package var object: JSONObject {
    var object = JSONObject()
    append(to: &object)
    return object
  }

  /// Adds this record's members to an object that may have others too.
  func append(to object: inout JSONObject) {
    for member in Self.members { member.encode(self, &object) }
  }
}
