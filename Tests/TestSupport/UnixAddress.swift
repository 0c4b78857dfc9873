import Foundation
package import Glibc

/// Calls `body` with the address of the Unix socket `name`; '@' begins an abstract name.
package func withUnixAddress<R>(
  _ name: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R
) -> R {
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  var bytes = Array(name.utf8)
  let isAbstract = bytes.first == UInt8(ascii: "@")
  if isAbstract { bytes[0] = 0 } else { bytes.append(0) }
  precondition(bytes.count <= MemoryLayout.size(ofValue: address.sun_path))
  withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
  let size = MemoryLayout.offset(of: \sockaddr_un.sun_path) ?? 0
  return withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(size + bytes.count)) }
  }
}

/// A Unix socket of this kind on which `call`, connect or bind, has succeeded for `path`.
///
/// Throws a `POSIXError`.
package func openUnixSocket(
  _ path: String, _ type: __socket_type = SOCK_STREAM,
  _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
) throws -> Int32 {
  // A program that starts meanwhile must not hold a copy of it: its end would not come.
  let descriptor = socket(AF_UNIX, Int32(type.rawValue | SOCK_CLOEXEC.rawValue), 0)
  guard descriptor >= 0, withUnixAddress(path, { call(descriptor, $0, $1) }) == 0 else {
    let number = errno
    close(descriptor)
    throw POSIXError(POSIXErrorCode(rawValue: number) ?? .EIO)
  }
  return descriptor
}
