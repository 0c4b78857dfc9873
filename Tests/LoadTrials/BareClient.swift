import Foundation
import TestSupport

/// A connection that many of can be held by one thread: it counts the lines that come, and never
/// waits.
///
/// Isolation: one thread at a time.
final class BareClient {
  let descriptor: Int32
  /// How many lines have come.
  private(set) var lines = 0

  /// Connects to `path` and negotiates; reads nothing yet of what comes.
  init(_ path: String) throws {
    descriptor = try openUnixSocket(path) { connect($0, $1, $2) }
    try send(#"{"execute": "qmp_capabilities"}"#)
  }

  deinit { close(descriptor) }

  /// Sends `text`, which the socket has room for.
  func send(_ text: some StringProtocol) throws {
    let bytes = Array(text.utf8)
    let sent = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
    guard sent == bytes.count else { throw POSIXError(.EPIPE) }
  }

  /// Takes what has come. Throws at the end of the connection.
  func receive() throws {
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
    if count < 0 && errno == EAGAIN { return }
    guard count > 0 else { throw POSIXError(.EPIPE) }
    lines += bytes[..<count].count { $0 == UInt8(ascii: "\n") }
  }

  /// Waits until so many lines have come.
  func receive(lines wanted: Int) throws {
    while lines < wanted {
      var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&polled, 1, 20_000) > 0 else { throw POSIXError(.ETIMEDOUT) }
      try receive()
    }
  }
}
