import BlockRuntime
import JSONValue
import QMP
import SocketIO
import TestSupport

/// A server that greets, and answers each request with the lines that a script gives.
final class ScriptedServer: Sendable {
  typealias Script = @Sendable @ControlPlane (QMPRequest) -> Answer

  /// What follows a request.
  enum Answer {
    /// These bytes are sent.
    case text(String)
    /// The connection is closed.
    case hangUp
  }

  /// Where it listens.
  let path: String
  private let directory: TemporaryDirectory
  private let listener: UnixListener

  @ControlPlane
  init(
    greeting: String = QMPGreeting(version: VersionInfo(), capabilities: []).message.description,
    _ script: Script?
  ) throws {
    directory = try TemporaryDirectory()
    path = directory.file("qmp.sock")
    listener = try UnixListener(binding: SocketAddress(path: path), mode: 0o600)
    listener.start { connection in
      var framer = MessageFramer()
      connection.start(
        .init(
          received: { bytes in
            framer.receive(bytes)
            while case .message(let message)? = framer.next() {
              guard let request = try? QMPRequest(message) else { return connection.close() }
              ScriptedServer.answer(request, on: connection, by: script)
            }
          }, ended: { connection.finish() }, closed: { _ in }))
      connection.send(Array(greeting.utf8))
    }
  }

  @ControlPlane
  func close() { listener.close() }

  @ControlPlane
  private static func answer(
    _ request: QMPRequest, on connection: Connection, by script: Script?
  ) {
    if request.execute == "qmp_capabilities" {
      connection.send(request.success([:]))
    } else {
      switch script?(request) {
      case .text(let text): connection.send(Array(text.utf8))
      case .hangUp, nil: connection.finish()
      }
    }
  }
}

extension QMPRequest {
  /// The answer `value`, as text.
  func returning(_ value: JSONValue) -> String {
    QMPResponse(.success(value), id: id).message.description
  }

  fileprivate func success(_ value: JSONValue) -> [UInt8] { Array(returning(value).utf8) }
}

/// Runs blocking `work` on a thread of its own.
func onThread<T: Sendable>(
  _ work: @escaping @Sendable () throws -> T
) async throws -> T {
  try await withCheckedContinuation { continuation in
    Lane(label: "test").run { continuation.resume(returning: Result(catching: work)) }
  }.get()
}
