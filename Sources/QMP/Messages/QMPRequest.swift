package import JSONValue

/// A command as a client sends it.
///
/// Isolation: value.
package struct QMPRequest: Hashable, Sendable {
  /// The command's name.
  package var execute: String
  /// The command's arguments; empty when the message has none.
  package var arguments: JSONObject
  /// Anything that the answer shall carry again.
  package var id: JSONValue?
  /// Whether it is to be carried out at once, before requests that came earlier.
  package var isOutOfBand = false

  /// A request to `execute` a command.
  package init(execute: String, arguments: JSONObject = [:], id: JSONValue? = nil) {
    self.execute = execute
    self.arguments = arguments
    self.id = id
  }

  /// A request for a typed command.
  package init(_ command: some QMPCommand, id: JSONValue? = nil) {
    self.init(execute: type(of: command).name, arguments: command.object, id: id)
  }

  /// The request that `message` holds, which may be one out of band where `outOfBand` says so.
  /// Where it holds none, the answer still carries `message["id"]`.
  package init(_ message: JSONObject, outOfBand: Bool = false) throws(QMPError) {
    var execute: String?
    arguments = [:]
    for member in message.members {
      switch member.name {
      case "execute",
        "exec-oob" where outOfBand:
        guard case .string(let name) = member.value else {
          throw QMPError("QMP input member '\(member.name)' must be a string")
        }
        guard execute == nil else {
          throw QMPError("QMP input member 'execute' clashes with 'exec-oob'")
        }
        execute = name
        isOutOfBand = member.name == "exec-oob"
      case "arguments":
        guard case .object(let members) = member.value else {
          throw QMPError("QMP input member 'arguments' must be an object")
        }
        arguments = members
      case "id":
        id = member.value
      default:
        throw QMPError("QMP input member '\(QMPError.quoted(member.name))' is unexpected")
      }
    }
    guard let execute else { throw QMPError("QMP input lacks member 'execute'") }
    self.execute = execute
  }

  /// The message that says this.
  package var message: JSONValue {
    var message = JSONObject(
      members: [(isOutOfBand ? "exec-oob" : "execute", .string(execute))])
    if !arguments.members.isEmpty { message.append("arguments", .object(arguments)) }
    if let id { message.append("id", id) }
    return .object(message)
  }
}
