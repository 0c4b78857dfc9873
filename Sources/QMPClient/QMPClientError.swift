import Glibc
package import QMP

/// Why a client did not get its answer.
///
/// Isolation: value.
package enum QMPClientError: Error, Hashable, Sendable {
  /// Nobody listens at the path: there is no socket, or the daemon that made it is gone.
  case noDaemon(path: String)
  /// The socket is there, but the system does not let us connect; permissions, most likely.
  case cannotConnect(path: String, errno: Int32)
  /// The connection ended or broke before the answer came; with the system's error number where
  /// it was not the daemon that closed it.
  case connectionLost(errno: Int32?)
  /// What came is not QMP.
  case protocolViolation(String)
  /// The time was up. The command may still be carried out.
  case timedOut
  /// One of the client's signals arrived. The command may still be carried out.
  case interrupted
  /// The daemon refused the command.
  case refused(QMPError)
}

extension QMPClientError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .noDaemon(let path):
      "no daemon listens on \(path)"
    case .cannotConnect(let path, let number):
      "cannot connect to \(path): \(QMPClientError.sentence(number))"
    case .connectionLost(let number):
      "qblockd has stopped, or has closed the connection"
        + (number.map { ": \(QMPClientError.sentence($0))" } ?? "")
    case .protocolViolation(let what):
      "the daemon does not speak QMP: \(what)"
    case .timedOut: "the daemon did not answer in time"
    case .interrupted: "interrupted"
    case .refused(let error): error.sentence
    }
  }

  private static func sentence(_ number: Int32) -> String {
    unsafe String(cString: strerror(number))
  }
}
