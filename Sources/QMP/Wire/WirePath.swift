/// Where in a message a value stands, for the errors that name it, and how strictly it is read.
///
/// Isolation: value.
package struct WirePath: Hashable, Sendable {
  /// The members on the way, with dots between them: `file.driver`.
  package let text: String
  /// Whether members that the type does not know are an error.
  let refusesUnknown: Bool

  /// The arguments of a command: all that is unknown is refused.
  package static let arguments = WirePath(text: "", refusesUnknown: true)

  /// What a server answers: a newer one may say more than we know.
  package static let reply = WirePath(text: "return", refusesUnknown: false)

  /// The place of a member of the object that stands here.
  func member(_ name: String) -> WirePath {
    WirePath(text: text.isEmpty ? name : "\(text).\(name)", refusesUnknown: refusesUnknown)
  }

  /// The place of an element of the array that stands here.
  func element(_ index: Int) -> WirePath {
    WirePath(text: "\(text)[\(index)]", refusesUnknown: refusesUnknown)
  }
}
