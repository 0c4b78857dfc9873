package import BlockCore
import Glibc
package import QMP

/// What the command line says.
///
/// Isolation: value.
package struct DaemonConfiguration: Sendable {
  /// Path of the control socket; nil: systemd's, or the default.
  package var socket: String?
  /// Path of a second socket, on which there are queries and events only.
  package var readOnlySocket: String?
  /// Who may connect, and how many.
  package var clients = ClientRules()
  /// Permission bits of the socket.
  package var socketMode: UInt32 = 0o660
  /// Group of the socket, by name or number.
  package var socketGroup: String?
  /// Directories outside of which no image is opened.
  package var imageRoots: [String] = []
  /// The most memory that the tables of all images take together.
  package var cacheBytes = Limits.metadataCacheBytes
  /// By what the kernel is asked for many places of a file at once.
  package var io = IOBackend.automatic
  /// Nodes to open before the first client is heard.
  package var nodes: [BlockdevOptions] = []
  /// File to hold the process id while the daemon runs.
  package var pidFile: String?
  /// How many events are remembered.
  package var eventHistory = 4096
  /// How many jobs are remembered when they are gone.
  package var jobHistory = 256
  /// For how long, in seconds.
  package var jobHistorySeconds = 86_400
  /// How long the daemon waits at its end for disks that do not answer.
  package var stopTime = Duration.seconds(60)
  /// Whether the daemon ends when its last client has gone and no job is left.
  package var exitsWhenIdle = false

  package init() {}
}

extension DaemonConfiguration {
  /// The socket's path: as configured, else in the service's runtime directory, else in root's or
  /// the user's own. Makes `/run/qblockd` for root.
  ///
  /// Throws `invalidArgument` where there is no place.
  func socketPath() throws(BlockError) -> String {
    if let socket { return socket }
    guard let path = DefaultSocket.path(isRoot: geteuid() == 0, environment: environment) else {
      throw BlockError(
        .invalidArgument,
        "There is no place for the socket: XDG_RUNTIME_DIR is not set; give --socket")
    }
    if path.hasPrefix("/run/qblockd/") { _ = unsafe mkdir("/run/qblockd", 0o750) }
    return path
  }

  /// The number of the configured group.
  func socketGroupID() throws(BlockError) -> UInt32? {
    guard let socketGroup else { return nil }
    if let number = UInt32(socketGroup) { return number }
    guard let group = unsafe getgrnam(socketGroup) else {
      throw BlockError(.notFound, "There is no group '\(socketGroup)'")
    }
    return unsafe group.pointee.gr_gid
  }

  private func environment(_ name: String) -> String? {
    guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
    return unsafe String(cString: value)
  }
}
