package import BlockCore
package import BlockRuntime
import CLinux
import Glibc

/// A Unix stream socket that accepts connections.
///
/// Isolation: control plane. It keeps itself alive from `start` to `close`.
@ControlPlane
package final class UnixListener {
  private let descriptor: Int32
  /// The file that goes when the listener closes; nil for a socket that someone else made.
  private let file: (address: SocketAddress, identity: FileIdentity)?
  private var source: ReadinessSource?
  private var retry: ControlTimer?
  /// A descriptor kept back, so that a connection can be accepted, and closed, when the process has
  /// no other left: otherwise it would stay in the backlog and wake us for ever.
  private var reserve: Int32 = -1

  /// Connections accepted per turn, so that a flood of them leaves time for others.
  private static let acceptsPerTurn = 64
  /// How long to leave the backlog alone when the system cannot give what accepting takes.
  private static let backOff = Duration.milliseconds(100)

  /// Creates a socket at `address` with permissions `mode`, for `group` where given, and listens.
  /// May wait for another daemon that is just starting in the same directory. Errors: `locked` when
  /// a live process listens there (the message says who), `invalidArgument`, `permission`,
  /// `notFound`, `io`.
  package init(
    binding address: SocketAddress, mode: UInt32, group: UInt32? = nil
  ) throws(BlockError) {
    let descriptor = cl_unix_socket(1)
    guard descriptor >= 0 else { throw .socket("Cannot create a socket") }
    do {
      let identity = try address.listen(
        on: descriptor, mode: mode, group: group, backlog: SOMAXCONN)
      self.file = (address, identity)
      self.descriptor = descriptor
    } catch {
      Glibc.close(descriptor)
      throw error
    }
  }

  /// Takes over a socket that listens already, such as one of `SystemdActivation`; its file is left
  /// to whoever made it.
  package init(adopting descriptor: Int32) {
    precondition(cl_is_unix_listener(descriptor) == 1, "not a listening Unix stream socket")
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    self.descriptor = descriptor
    file = nil
  }

  /// Accepts connections from now on and gives each to `accepted`, which starts or closes it. What
  /// waits for their peers counts in `budget`.
  package func start(
    _ budget: OutboxBudget? = nil,
    _ accepted: @escaping @Sendable @ControlPlane (Connection) -> Void
  ) {
    precondition(source == nil, "started twice")
    openReserve()
    // Dispatch opens a descriptor for its first timer, and never fires one that it could not open
    // it for: have it now, not when there is none left.
    retry = ControlTimer(after: .zero) {}
    let source = ReadinessSource(descriptor, .read) { self.acceptWaiting(budget, accepted) }
    self.source = source
    source.resume()
  }

  /// Stops accepting and removes the socket's file if it is still this one. Connections stay. A
  /// listener is closed once; also one that was never started.
  package func close() {
    if let file { file.address.remove(file.identity) }
    retry = nil
    if reserve >= 0 { Glibc.close(reserve) }
    reserve = -1
    guard let source else {
      Glibc.close(descriptor)
      return
    }
    self.source = nil
    source.cancel { [descriptor] in Glibc.close(descriptor) }
  }

  private func acceptWaiting(
    _ budget: OutboxBudget?, _ accepted: @Sendable @ControlPlane (Connection) -> Void
  ) {
    for _ in 0..<UnixListener.acceptsPerTurn {
      // The handler may have closed the listener.
      guard source != nil else { return }
      let descriptor = cl_accept(descriptor)
      if descriptor >= 0 {
        if reserve < 0 { openReserve() }
        accepted(Connection(adopting: descriptor, budget: budget))
        continue
      }
      switch errno {
      case EINTR, ECONNABORTED: continue
      case EAGAIN: return
      case EMFILE, ENFILE:
        // The system says so before it looks whether anybody waits.
        switch refuseOne() {
        case 0: continue
        case EAGAIN: return
        default: return pause()
        }
      default: return pause()
      }
    }
  }

  /// Accepts one connection on the reserve's descriptor and closes it, so that its client knows.
  /// Returns 0, or the error number for which it could not.
  private func refuseOne() -> Int32 {
    guard reserve >= 0 else { return EMFILE }
    Glibc.close(reserve)
    let refused = cl_accept(descriptor)
    let failure = errno
    if refused >= 0 { Glibc.close(refused) }
    openReserve()
    return refused >= 0 ? 0 : failure
  }

  private func openReserve() {
    reserve = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
  }

  private func pause() {
    source?.suspend()
    retry = ControlTimer(after: UnixListener.backOff) {
      if self.reserve < 0 { self.openReserve() }
      self.source?.resume()
    }
  }
}
