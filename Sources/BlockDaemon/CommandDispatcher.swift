import BlockCore
import BlockRuntime
import JSONValue
import QMP

/// Finds the handler of a command and runs it.
///
/// A handler is written against the command's own types; reading the arguments and writing the
/// answer happen here, once for all.
///
/// Isolation: control plane.
@ControlPlane
final class CommandDispatcher {
  private typealias Handler =
    @ControlPlane (JSONObject, ClientDescriptors) async -> Result<JSONValue, QMPError>
  private var handlers: [String: Handler] = [:]

  /// Calls of `Command` go to `handle`. Each command has one handler.
  func on<Command: QMPCommand>(
    _ command: Command.Type,
    _ handle: @escaping @ControlPlane (Command) async throws(QMPError) -> Command.Reply
  ) {
    onClient(command) { (call, _) async throws(QMPError) in try await handle(call) }
  }

  /// The same for a command that is about what its client has passed.
  func onClient<Command: QMPCommand>(
    _ command: Command.Type,
    _ handle:
      @escaping @ControlPlane (Command, ClientDescriptors) async throws(QMPError) ->
      Command.Reply
  ) {
    precondition(handlers[Command.name] == nil, "\(Command.name) has two handlers")
    handlers[Command.name] = { arguments, client in
      await CommandDispatcher.run(arguments) { (call: Command) async throws(QMPError) in
        try await handle(call, client)
      }
    }
  }

  /// The same for a command that can fail in the engine.
  func onEngine<Command: QMPCommand>(
    _ command: Command.Type,
    _ handle: @escaping @ControlPlane (Command) async throws(BlockError) -> Command.Reply
  ) {
    on(command) { (call) async throws(QMPError) in
      do throws(BlockError) { return try await handle(call) } catch { throw QMPError(error) }
    }
  }

  /// Runs the command that `request` names, from a client that has passed `descriptors`.
  func perform(
    _ request: QMPRequest, _ descriptors: ClientDescriptors
  ) async -> Result<JSONValue, QMPError> {
    guard let handler = handlers[request.execute] else {
      return .failure(.commandNotFound(request.execute))
    }
    return await handler(request.arguments, descriptors)
  }

  /// Reads the arguments, runs the handler, writes the reply.
  private static func run<Command: QMPCommand>(
    _ arguments: JSONObject,
    _ handle: @ControlPlane (Command) async throws(QMPError) -> Command.Reply
  ) async -> Result<JSONValue, QMPError> {
    do throws(QMPError) {
      return .success(try await handle(try Command(arguments: arguments)).wire)
    } catch {
      return .failure(error)
    }
  }

  /// Commands of the catalog without a handler; the session itself answers `qmp_capabilities`.
  var unhandled: [String] {
    CommandCatalog.all.map { $0.name }.filter {
      handlers[$0] == nil && $0 != QMPCapabilities.name
    }
  }
}
