import Foundation
import TestSupport
import Testing

/// A `qemu-storage-daemon`, the oracle of what our daemon answers.
///
/// Isolation: one test.
final class QemuDaemon {
  /// The session on its monitor, negotiated unless that was left out.
  let monitor: MonitorSocket
  private let process: ChildProcess

  /// Starts it, by the words of `launcher`. It connects to us, so that it is there when the
  /// connection is.
  init(launcher: [String] = [], isNegotiated: Bool = true) throws {
    let directory = try TemporaryDirectory(in: "/tmp")
    let path = directory.file("qmp.sock")
    let listener = try openUnixSocket(path) { bind($0, $1, $2) }
    defer { close(listener) }
    try #require(listen(listener, 1) == 0)
    process = try ChildProcess(
      launcher + [
        "qemu-storage-daemon", "--chardev", "socket,path=\(path),id=c", "--monitor", "chardev=c",
      ], output: .inherited, errors: .inherited)
    var polled = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
    try #require(poll(&polled, 1, 20_000) == 1, "qemu-storage-daemon does not connect")
    monitor = MonitorSocket(adopting: try MonitorSocket.accept(listener))
    if isNegotiated { try monitor.negotiate() }
  }
}
