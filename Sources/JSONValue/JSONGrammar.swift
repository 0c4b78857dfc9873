/// The order of tokens in a JSON value: which brackets are open, what may come next, and the names
/// that an open object already has.
///
/// A token in the wrong place is a fault: it is kept, and from then on only brackets are counted,
/// so that the end of the value is still found.
///
/// Isolation: value.
struct JSONGrammar: Sendable {
  /// A token, as far as order goes.
  enum Token {
    case openObject, closeObject, openArray, closeArray, comma, colon
    /// A string; as a member's name these are its decoded bytes.
    case string([UInt8])
    /// A number or a word.
    case scalar
  }

  /// What a token did to the value.
  enum Step {
    /// The value goes on.
    case more
    /// The value ends with this token; `fault` tells whether it is good.
    case ended
    /// The brackets do not match, so nobody can say where the value ends.
    case failed(JSONSyntaxError)
  }

  private enum Expected {
    case value, valueOrEnd, name, nameOrEnd, colon, separatorOrEnd
  }

  /// The first thing that was wrong.
  private(set) var fault: JSONSyntaxError?
  /// Containers that are open.
  var depth: Int { open.count }
  /// Whether the next string would be a member's name that has to be compared.
  var expectsName: Bool { fault == nil && (expected == .name || expected == .nameOrEnd) }

  private var open = BracketStack()
  /// The names of each open object; none are kept once there is a fault. They are compared by
  /// their bytes: `String` would take two spellings of one letter for the same key.
  private var names: [Set<[UInt8]>] = []
  private var expected = Expected.value

  /// Keeps `error` as the value's fault unless it has one.
  mutating func note(_ error: JSONSyntaxError) {
    guard fault == nil else { return }
    fault = error
    names = []
  }

  /// Takes the next token.
  mutating func take(_ token: Token) -> Step {
    if fault == nil, mismatch(token) == nil { check(token) }
    switch token {
    case .openObject:
      open.push(.object)
      if fault == nil { names.append([]) }
    case .openArray: open.push(.array)
    case .closeObject, .closeArray:
      if let error = mismatch(token) { return .failed(fault ?? error) }
      if open.pop() == .object { _ = names.popLast() }
    case .comma, .colon, .string, .scalar: break
    }
    return depth == 0 ? .ended : .more
  }

  /// Why a closing bracket does not fit the innermost open one; nil where it does.
  private func mismatch(_ token: Token) -> JSONSyntaxError? {
    switch (open.last, token) {
    case (.object, .closeArray): .expectedSeparatorInObject
    case (.array, .closeObject): .expectedSeparatorInArray
    default: nil
    }
  }

  /// Moves `expected` past `token`, or notes why it cannot stand here.
  private mutating func check(_ token: Token) {
    switch (expected, token) {
    case (.valueOrEnd, .closeArray), (.nameOrEnd, .closeObject),
      (.separatorOrEnd, .closeArray), (.separatorOrEnd, .closeObject):
      expected = .separatorOrEnd
    case (.value, .openObject), (.valueOrEnd, .openObject): expected = .nameOrEnd
    case (.value, .openArray), (.valueOrEnd, .openArray): expected = .valueOrEnd
    case (.value, .string), (.value, .scalar), (.valueOrEnd, .string), (.valueOrEnd, .scalar):
      expected = .separatorOrEnd
    case (.name, .string(let name)), (.nameOrEnd, .string(let name)):
      expected = .colon
      if !insert(name) { note(.duplicateKey) }
    case (.colon, .colon): expected = .value
    case (.separatorOrEnd, .comma):
      if case .object = open.last { expected = .name } else { expected = .value }
    default: note(complaint(about: token))
    }
  }

  /// Adds a name to the innermost object; false when it is there already.
  private mutating func insert(_ name: [UInt8]) -> Bool {
    guard let innermost = names.indices.last else { return true }
    return names[innermost].insert(name).inserted
  }

  private func complaint(about token: Token) -> JSONSyntaxError {
    switch (expected, token) {
    case (.name, .openObject), (.name, .openArray), (.name, .scalar),
      (.nameOrEnd, .openObject), (.nameOrEnd, .openArray), (.nameOrEnd, .scalar):
      return .keyIsNoString
    case (.colon, _): return .missingColon
    case (.separatorOrEnd, _):
      if case .object = open.last { return .expectedSeparatorInObject }
      return .expectedSeparatorInArray
    default: return .expectingValue
    }
  }
}
