import JSONValue

/// Records of which one is chosen by a word that stands among their members, as QAPI's flat unions.
///
/// Isolation: value.
package protocol WireChoice: Equatable, Sendable {
  /// The member that holds the word.
  static var discriminator: String { get }
  /// All there is to choose from.
  static var branches: [WireBranch<Self>] { get }
}

/// One record that a word chooses.
///
/// Isolation: value.
package struct WireBranch<Choice: Sendable>: Sendable {
  /// The word that chooses it.
  package let word: String
  /// The record's type.
  package let record: any WireRecord.Type

  let decode: @Sendable (inout ArgumentDecoder) throws(QMPError) -> Choice
  /// Appends the word and the record's members; false when the choice is another.
  let encode: @Sendable (Choice, inout JSONObject, _ discriminator: String) -> Bool

  /// A branch whose record `wrap` makes a choice of, and `unwrap` takes out again.
  package init<Record: WireRecord>(
    _ word: String, wrap: @escaping @Sendable (Record) -> Choice,
    unwrap: @escaping @Sendable (Choice) -> Record?
  ) {
    self.word = word
    record = Record.self
    decode = { (decoder) throws(QMPError) in wrap(try Record(from: &decoder)) }
    encode = { choice, object, discriminator in
      guard let record = unwrap(choice) else { return false }
      object.append(discriminator, .string(word))
      record.append(to: &object)
      return true
    }
  }
}

extension WireChoice {
  /// Reads the word, then the members of the record it chooses.
  init(from decoder: inout ArgumentDecoder) throws(QMPError) {
    let word: String = try decoder.required(Self.discriminator)
    guard let branch = Self.branches.first(where: { $0.word == word }) else {
      throw .invalidValue(decoder.path.member(Self.discriminator), word)
    }
    self = try branch.decode(&decoder)
  }

  /// Adds the word and the chosen record's members to `object`.
  func append(to object: inout JSONObject) {
    for branch in Self.branches where branch.encode(self, &object, Self.discriminator) { return }
    preconditionFailure("\(Self.self) has a case without a branch")
  }
}
