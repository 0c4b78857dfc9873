package import JSONValue

/// Any message that a server sends, as a client reads it. Members that a newer server adds are
/// ignored.
///
/// Isolation: value.
package enum QMPServerMessage: Equatable, Sendable {
  case greeting(QMPGreeting)
  case response(QMPResponse)
  case event(QMPEvent)

  /// What `message` is; an error when it is none of these.
  package init(_ message: JSONObject) throws(QMPError) {
    if let greeting = message["QMP"] {
      self = .greeting(try QMPGreeting(wire: greeting, at: .reply))
    } else if let event = try QMPEvent(message) {
      self = .event(event)
    } else if let response = try QMPResponse(message) {
      self = .response(response)
    } else {
      throw QMPError("The server's message is no greeting, event or answer")
    }
  }
}
