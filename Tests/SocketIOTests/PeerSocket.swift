import Glibc
import TestSupport

/// The far end of a connection, blocking, as a test's client has it.
final class PeerSocket: Sendable {
  let descriptor: Int32

  init(_ descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  /// A client of the socket at `path`; nil where it cannot connect, with errno set.
  convenience init?(connectingTo path: String) {
    self.init(unixSocket())
    guard withUnixAddress(path, { connect(descriptor, $0, $1) }) == 0 else { return nil }
  }

  /// A connected pair: a non-blocking descriptor for the code under test, and its far end.
  static func pair() -> (near: Int32, far: PeerSocket) {
    var ends: [Int32] = [-1, -1]
    precondition(socketpair(AF_UNIX, closedOnExec(SOCK_STREAM), 0, &ends) == 0)
    precondition(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0)
    return (ends[0], PeerSocket(ends[1]))
  }

  func write(_ bytes: [UInt8]) {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      precondition(count > 0)
      sent += count
    }
  }

  /// At least one byte, at most `most`; empty at the end of the stream.
  func read(most: Int = 65536) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: most) { buffer, count in
      count = max(0, recv(descriptor, buffer.baseAddress, buffer.count, 0))
    }
  }

  func read(exactly count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let more = read(most: count - bytes.count)
      guard !more.isEmpty else { break }
      bytes += more
    }
    return bytes
  }

  /// No more bytes will come from here.
  func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Sends one byte with a duplicate of `passed` beside it.
  func write(_ byte: UInt8, passing passed: Int32) {
    let headerBytes = MemoryLayout<cmsghdr>.stride
    var control = [UInt8](repeating: 0, count: headerBytes + 8)
    var header = cmsghdr()
    header.cmsg_len = headerBytes + 4
    header.cmsg_level = SOL_SOCKET
    header.cmsg_type = Int32(SCM_RIGHTS)
    control.withUnsafeMutableBytes {
      $0.storeBytes(of: header, as: cmsghdr.self)
      $0.storeBytes(of: passed, toByteOffset: headerBytes, as: Int32.self)
    }
    var payload = byte
    let sent = control.withUnsafeMutableBytes { control in
      withUnsafeMutablePointer(to: &payload) { payload in
        var vector = iovec(iov_base: payload, iov_len: 1)
        return withUnsafeMutablePointer(to: &vector) { vector in
          var message = msghdr()
          message.msg_iov = vector
          message.msg_iovlen = 1
          message.msg_control = control.baseAddress
          message.msg_controllen = control.count
          return sendmsg(descriptor, &message, 0)
        }
      }
    }
    precondition(sent == 1)
  }
}

/// A new Unix socket of this kind.
func unixSocket(_ kind: __socket_type = SOCK_STREAM) -> Int32 {
  let descriptor = socket(AF_UNIX, closedOnExec(kind), 0)
  precondition(descriptor >= 0)
  return descriptor
}

/// An exit test that starts meanwhile must not hold copies of a socket whose end is awaited.
private func closedOnExec(_ kind: __socket_type) -> Int32 {
  Int32(kind.rawValue | SOCK_CLOEXEC.rawValue)
}
