import ArgumentParser
import JSONValue
import QMP
import QMPClient

/// `qmp`: any command, in QMP's own words.
struct RawQMP: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "qmp", abstract: "Sends one QMP command, and prints what it returns.",
    discussion: #"Such as: qblockctl qmp '{"execute": "query-jobs"}', or just the name."#)

  @OptionGroup var connection: ConnectionOptions

  @Argument(help: "The command: a JSON object, or the name of one that needs no arguments.")
  var command: String

  func run() throws {
    let request = try parse()
    try connection.withSession { session in
      do {
        session.say(try session.client.execute(request.execute, request.arguments))
      } catch QMPClientError.refused(let error) where error.errorClass == .commandNotFound {
        throw Failure("\(error.message)\n'qblockctl qmp query-commands' lists those there are")
      }
    }
  }

  private func parse() throws -> QMPRequest {
    let isName = command.allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" }
    if isName && !command.isEmpty { return QMPRequest(execute: command) }
    do {
      guard case .object(let message) = try JSONValue.parse(command) else {
        throw QMPError("QMP input must be a JSON object, or the name of a command")
      }
      return try QMPRequest(message)
    } catch let error as QMPError {
      throw Failure(error.message)
    } catch let error as JSONSyntaxError {
      throw Failure(error.description)
    }
  }
}
