package import JSONValue

/// One command of the protocol: a value is one call, its members are the arguments.
///
/// Everything that is said about a command is said in its type: the name, what it does, its
/// arguments with their types and defaults, and what it answers.
///
/// Isolation: value.
package protocol QMPCommand: WireRecord {
  /// What the command answers.
  associatedtype Reply: WireValue

  /// The command's name on the wire.
  static var name: String { get }
  /// What the command does, in a sentence.
  static var summary: String { get }
  /// Whether it may be asked out of band: it takes no time and waits for nothing.
  static var allowsOutOfBand: Bool { get }
  /// What readers of the schema should know of it, by QAPI's words: `unstable`, `deprecated`.
  static var features: [String] { get }
}

extension QMPCommand {
  package static var allowsOutOfBand: Bool { false }
  package static var features: [String] { [] }

  /// The call that `arguments` make; the errors are QEMU's.
  package init(arguments: JSONObject) throws(QMPError) {
    try self.init(wire: .object(arguments), at: .arguments)
  }
}

/// The answer of a command that has nothing to say: `{}`.
///
/// Isolation: value.
package struct EmptyReply: WireRecord {
  package init() {}
  package static let members: [WireMember<Self>] = []
}
