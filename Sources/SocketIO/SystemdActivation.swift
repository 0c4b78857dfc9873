package import BlockCore
import CLinux
import Glibc

/// Listening sockets that the service manager has opened for us (sd_listen_fds(3)).
///
/// Isolation: value.
package enum SystemdActivation {
  /// The first descriptor that is handed over; the others follow it.
  package static let firstDescriptor: Int32 = 3

  private static let variables = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]

  /// The descriptors that the environment promises to process `processID`: none where it has no
  /// LISTEN_PID, or another process's. A value that is not a number, or not a possible one, is
  /// refused with `invalidArgument`.
  package static func promised(
    by environment: (String) -> String?, to processID: Int32
  ) throws(BlockError) -> Range<Int32> {
    let none = firstDescriptor..<firstDescriptor
    guard let owner = environment("LISTEN_PID") else { return none }
    guard let owner = Int32(owner), owner > 0 else {
      throw BlockError(.invalidArgument, "LISTEN_PID is '\(owner)', which is no process number")
    }
    guard owner == processID, let text = environment("LISTEN_FDS") else { return none }
    guard let count = Int32(text), count >= 0, count <= Int32.max - firstDescriptor else {
      throw BlockError(
        .invalidArgument, "LISTEN_FDS is '\(text)', which is no number of descriptors")
    }
    return firstDescriptor..<firstDescriptor + count
  }

  /// Takes the sockets out of this process's environment, which then does not name them any more.
  /// Each is closed on exec, and is a Unix stream socket that listens; another kind is refused with
  /// `invalidArgument`. Called once, before other threads run: the environment has no lock.
  package static func take() throws(BlockError) -> [Int32] {
    defer { for name in variables { unsafe unsetenv(name) } }
    let descriptors = try promised(by: environmentVariable, to: getpid())
    for descriptor in descriptors {
      guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0, cl_is_unix_listener(descriptor) == 1 else {
        throw BlockError(
          .invalidArgument,
          "Descriptor \(descriptor) from the service manager is not a listening Unix stream socket")
      }
    }
    return Array(descriptors)
  }
}

/// The variable `name` of this process's environment.
func environmentVariable(_ name: String) -> String? {
  unsafe getenv(name).map { unsafe String(cString: $0) }
}
