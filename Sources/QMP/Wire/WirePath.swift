/// Where in a message a value stands, for the errors that name it, and how strictly it is read.
///
/// Isolation: value.
package struct WirePath: Hashable, Sendable {
  /// The members on the way, with dots between them: `file.driver`.
  package let text: String
  /// Whether members that the type does not know are an error.
  let refusesUnknown: Bool
  /// Whether numbers and booleans are spelled as strings.
  let isText: Bool

  private init(_ text: String, refusesUnknown: Bool, isText: Bool = false) {
    self.text = text
    self.refusesUnknown = refusesUnknown
    self.isText = isText
  }

  /// The arguments of a command: all that is unknown is refused.
  package static let arguments = WirePath("", refusesUnknown: true)

  /// What a server answers: a newer one may say more than we know.
  package static let reply = WirePath("return", refusesUnknown: false)

  /// Keys and values of a command line, where every value is text.
  package static let keyValues = WirePath("", refusesUnknown: true, isText: true)

  /// The place of a member of the object that stands here.
  func member(_ name: String) -> WirePath {
    WirePath(
      text.isEmpty ? name : "\(text).\(name)", refusesUnknown: refusesUnknown, isText: isText)
  }

  /// The place of an element of the array that stands here.
  func element(_ index: Int) -> WirePath {
    WirePath(
      isText ? "\(text).\(index)" : "\(text)[\(index)]", refusesUnknown: refusesUnknown,
      isText: isText)
  }
}
