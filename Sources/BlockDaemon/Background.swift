package import BlockCore
import CLinux
import Glibc

/// A process that has left its caller behind (`--daemonize`): the caller is told when it serves.
///
/// Isolation: value.
package struct Background: Sendable {
  private let caller: Int32

  /// Goes on in a process without a terminal. The caller's process waits until `detach`, and ends
  /// with status 1 when this one ends before; until then both write to the same standard error.
  /// All other descriptors that the process was started with are closed.
  ///
  /// Called once, before other threads run: they would be left behind. Throws `io`.
  package static func enter() throws(BlockError) -> Background {
    let caller = cl_daemonize()
    guard caller >= 0 else {
      throw BlockError(
        .io, "Cannot go into the background: \(unsafe String(cString: strerror(errno)))",
        errno: errno)
    }
    return Background(caller: caller)
  }

  /// Lets go of the standard streams and of the working directory, and lets the caller's process
  /// end with status 0. Names that are used later must be absolute. Throws `io`, and then the
  /// caller still waits.
  package func detach() throws(BlockError) {
    guard cl_detach(caller) == 0 else {
      throw BlockError(
        .io, "Cannot leave the foreground: \(unsafe String(cString: strerror(errno)))",
        errno: errno)
    }
  }
}
