import JSONValue
import QMP

/// What the catalog says of one member of a record.
///
/// Isolation: value.
struct MemberFacts {
  let name: String
  let isOptional: Bool
  /// What it may say, where it is one of a list of words.
  let words: [String]
}

extension WireRecord {
  /// The members of this record and of those inside it, except behind a reference to another node.
  static var reachableMembers: [MemberFacts] {
    var seen: Set<ObjectIdentifier> = []
    return members(except: &seen)
  }

  fileprivate static func members(except seen: inout Set<ObjectIdentifier>) -> [MemberFacts] {
    guard seen.insert(ObjectIdentifier(Self.self)).inserted else { return [] }
    var found: [MemberFacts] = []
    for member in members {
      let words = (member.type as? any WireEnum.Type).map { $0.words } ?? []
      found.append(
        MemberFacts(
          name: member.name, isOptional: member.isOptional,
          words: words + member.branches.map(\.word)))
      for branch in member.branches { found += branch.record.members(except: &seen) }
      found += MemberFacts.members(of: member.type, except: &seen)
    }
    return found
  }
}

extension MemberFacts {
  /// The members of what a value of `type` is made of.
  fileprivate static func members(
    of type: Any.Type, except seen: inout Set<ObjectIdentifier>
  ) -> [MemberFacts] {
    // A command has a section of its own.
    if type is any QMPCommand.Type { return [] }
    if let record = type as? any WireRecord.Type { return record.members(except: &seen) }
    if let list = type as? any List.Type { return members(of: list.element, except: &seen) }
    return []
  }
}

extension QMPCommand {
  /// The members of its answer.
  static var replyMembers: [MemberFacts] {
    var seen: Set<ObjectIdentifier> = []
    return MemberFacts.members(of: Reply.self, except: &seen)
  }
}

extension WireEnum {
  fileprivate static var words: [String] { allCases.map(\.rawValue) }
}

/// An array, whatever it holds.
private protocol List {
  static var element: Any.Type { get }
}

extension Array: List {
  fileprivate static var element: Any.Type { Element.self }
}
