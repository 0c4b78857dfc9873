import Glibc
import JSONValue
import QMP
import QMPClient

/// The connection of one command, to a daemon that serves everybody or to one of its own.
///
/// Isolation: the main thread.
final class Session {
  let client: QMPClient
  /// Whether a program reads what the command says.
  let isJSON: Bool
  private let own: PrivateDaemon?

  init(_ options: ConnectionOptions) throws {
    isJSON = options.isJSON
    own = options.isPrivate ? try Session.startOwn() : nil
    client = try own?.client ?? Session.connect(options)
  }

  /// Ends the connection, and the daemon if it is the command's own.
  func end() {
    own?.quit()
    client.close()
  }

  /// Says `value` on a line of its own.
  func say(_ value: JSONValue) { StandardStream.output.line(value.description) }

  private static func startOwn() throws -> PrivateDaemon {
    guard let program = PrivateDaemon.find("qblockd") else {
      throw Failure("There is no qblockd beside qblockctl or in PATH for --private to run")
    }
    do throws(PrivateDaemon.Failure) {
      return try PrivateDaemon(program: program, interruptedBy: [SIGINT])
    } catch {
      switch error {
      case .noProgram: throw Failure("Cannot start \(program): no such program")
      case .system(let doing, let number):
        throw Failure("Cannot \(doing): \(systemSentence(number))")
      case .client(.interrupted): throw QMPClientError.interrupted
      case .client(let error): throw Failure("The private qblockd (\(program)): \(error)")
      }
    }
  }

  private static func connect(_ options: ConnectionOptions) throws -> QMPClient {
    let path = options.socket ?? DefaultSocket.path(isRoot: geteuid() == 0, environment: variable)
    guard let path else {
      throw Failure("XDG_RUNTIME_DIR is not set: name qblockd's socket with --socket PATH")
    }
    do throws(QMPClientError) {
      return try QMPClient(connectingTo: path, interruptedBy: [SIGINT])
    } catch {
      guard case .noDaemon = error else { throw error }
      throw Failure(
        """
        No qblockd listens on \(path)
        Start one, or let a command on files run its own with --private
        """)
    }
  }

  private static func variable(_ name: String) -> String? {
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }
}

/// The system's sentence for an error number.
func systemSentence(_ number: Int32) -> String { unsafe String(cString: strerror(number)) }
