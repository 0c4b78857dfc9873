import JSONValue

extension JSONValue {
  /// Numbers that are not the same in every run.
  private static let varying: Set = [
    "seconds", "microseconds", "actual-size", "allocated-size", "duration-ms", "bytes-per-second",
    "eta-seconds", "elapsed-seconds", "age-seconds", "x-seq", "last", "fd",
  ]

  /// Where `other` is not as this example; nil where it is. The same members in any order, the
  /// same elements, strings, booleans and numbers; of numbers that vary only the type counts. An
  /// array whose last element is "..." stands for one that goes on.
  func difference(from other: JSONValue, at path: String = "") -> String? {
    switch (self, other) {
    case (.object(let expected), .object(let actual)):
      let names = Set(expected.members.map(\.name))
      let others = Set(actual.members.map(\.name))
      guard names == others else { return "\(path): \(names.symmetricDifference(others))" }
      for member in expected.members {
        guard let value = actual[member.name] else { continue }
        if case .integer = member.value, case .integer = value,
          JSONValue.varying.contains(member.name)
        {
          continue
        }
        // Another one after every start.
        if member.name == "instance", case .string = value { continue }
        if let found = member.value.difference(from: value, at: "\(path).\(member.name)") {
          return found
        }
      }
      return nil
    case (.array(let expected), .array(let actual)):
      if expected.last == "..." {
        guard actual.count >= expected.count else { return "\(path): \(actual.count) elements" }
        let shown = expected.count - 1
        return JSONValue.array(Array(expected.prefix(shown)))
          .difference(from: .array(Array(actual.prefix(shown))), at: path)
      }
      guard expected.count == actual.count else { return "\(path): \(actual.count) elements" }
      for (index, (element, value)) in zip(expected, actual).enumerated() {
        if let found = element.difference(from: value, at: "\(path)[\(index)]") { return found }
      }
      return nil
    default: return self == other ? nil : "\(path): \(other)"
    }
  }
}
