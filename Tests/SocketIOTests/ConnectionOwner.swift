import BlockRuntime
import SocketIO

/// Keeps what a connection tells its owner, and lets a test wait for it.
@ControlPlane
final class ConnectionOwner {
  let connection: Connection
  private(set) var bytes: [UInt8] = []
  private(set) var hasEnded = false
  private(set) var hasEased = false
  private(set) var reason: Connection.CloseReason?
  private var waiters: [(condition: (ConnectionOwner) -> Bool, done: () -> Void)] = []

  init(_ connection: Connection) {
    self.connection = connection
    connection.start(
      .init(
        received: { bytes in self.note { self.bytes += bytes } },
        ended: { self.note { self.hasEnded = true } },
        eased: { self.note { self.hasEased = true } },
        closed: { reason in self.note { self.reason = reason } }))
  }

  /// Waits until `condition` holds.
  func wait(until condition: @escaping (ConnectionOwner) -> Bool) async {
    guard !condition(self) else { return }
    await withCheckedContinuation { continuation in
      waiters.append((condition, { continuation.resume() }))
    }
  }

  private func note(_ change: () -> Void) {
    change()
    let ready = waiters.filter { $0.condition(self) }
    waiters.removeAll { $0.condition(self) }
    for waiter in ready { waiter.done() }
  }
}

/// Runs blocking `work` on a thread of its own.
func onThread<T: Sendable>(_ work: @escaping @Sendable () -> T) async -> T {
  await withCheckedContinuation { continuation in
    Lane(label: "test").run { continuation.resume(returning: work()) }
  }
}
