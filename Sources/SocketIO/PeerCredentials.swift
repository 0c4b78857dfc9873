import CLinux
import Glibc

/// Who is at the other end of a Unix socket, as the kernel saw it when the connection was made (or,
/// for the one who listens, when it began to).
///
/// Isolation: value.
package struct PeerCredentials: Hashable, Sendable {
  /// The process. It may have ended since, and its number may belong to another one.
  package var processID: Int32
  /// The effective user.
  package var userID: UInt32
  /// The effective group.
  package var groupID: UInt32

  package init(processID: Int32, userID: UInt32, groupID: UInt32) {
    self.processID = processID
    self.userID = userID
    self.groupID = groupID
  }

  /// The peer of `descriptor`; nil where it has none.
  init?(of descriptor: Int32) {
    var (process, user, group): (Int32, UInt32, UInt32) = (0, 0, 0)
    guard unsafe cl_peer(descriptor, &process, &user, &group) == 0 else { return nil }
    self.init(processID: process, userID: user, groupID: group)
  }

  /// The process's name where the system tells, for messages only: a process chooses its own.
  var processName: String? {
    let descriptor = unsafe open("/proc/\(processID)/comm", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = unsafe read(descriptor, &bytes, bytes.count)
    guard count > 0 else { return nil }
    return String(decoding: bytes.prefix(count).filter { $0 >= 0x20 }, as: UTF8.self)
  }
}
