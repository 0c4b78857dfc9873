package import JSONValue

extension JSONValue {
  /// What its text is read as: 1.0 is written as 1, and comes back as an integer.
  package var asWritten: JSONValue {
    switch self {
    case .double(let number) where number.magnitude < 1e17:
      Int(exactly: number).map(JSONValue.integer) ?? self
    case .array(let elements): .array(elements.map(\.asWritten))
    case .object(let object):
      .object(JSONObject(members: object.members.map { ($0.name, $0.value.asWritten) }))
    default: self
    }
  }
}
