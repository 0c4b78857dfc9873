import BlockRuntime
import CLinux

/// Tells when the peer of a socket is gone for good, also while nothing is read from it.
///
/// A peer that only sends no more (it has closed its half) may still wait for answers, and is not
/// told of: the system has an event of its own, EPOLLHUP, for both directions being over. Sources
/// of Dispatch do not tell it from bytes that wait, and fire again and again for those; so all
/// sockets stand in one epoll instance, each for that one event, and Dispatch looks at that.
///
/// Isolation: control plane.
@ControlPlane
final class HangUps {
  static let shared = HangUps()

  /// Hang-ups told per turn, so that a flood of them leaves time for others.
  private static let perTurn = 64

  private let descriptor = cl_hang_ups()
  private var source: ReadinessSource?
  private var handlers: [UInt64: @ControlPlane () -> Void] = [:]
  private var last: UInt64 = 0

  /// Calls `handler` once when the peer of `socket` is gone, never inside this call. Returns what
  /// `forget` wants. Where the system has no room to watch it, its peer is missed only when
  /// something is sent.
  func watch(_ socket: Int32, _ handler: @escaping @ControlPlane () -> Void) -> UInt64 {
    if source == nil, descriptor >= 0 {
      source = ReadinessSource(descriptor, .read) { self.tell() }
      source?.resume()
    }
    last += 1
    if cl_hang_ups_add(descriptor, socket, last) == 0 { handlers[last] = handler }
    return last
  }

  /// Watches `socket` no more. It is still open.
  func forget(_ name: UInt64, _ socket: Int32) {
    guard handlers.removeValue(forKey: name) != nil else { return }
    _ = cl_hang_ups_drop(descriptor, socket)
  }

  private func tell() {
    var name: UInt64 = 0
    for _ in 0..<HangUps.perTurn {
      guard unsafe cl_hang_ups_next(descriptor, &name) == 1 else { return }
      handlers[name]?()
    }
  }
}
