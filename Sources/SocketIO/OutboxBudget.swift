import BlockCore
package import BlockRuntime

/// What the outboxes of many connections may hold together.
///
/// Each connection has a limit of its own, but thousands that do not read would still hold
/// gigabytes. While they hold more than `limit` bytes, those that hold any count as congested, so
/// that their owners do nothing that gives more; and those that have not read within `patience`
/// what waited for them then are closed, the one that holds most first, until the rest fits in.
/// While they hold more than twice as much, they have no longer than a second for that. One for
/// which nothing waits is not touched, whatever the others do. Bytes that several outboxes share
/// count for each of them.
///
/// Isolation: control plane.
@ControlPlane
package final class OutboxBudget {
  /// Of the clients of one socket.
  package nonisolated static let bytes = 32 << 20
  /// How often to look for connections that do not read, while too much is held, and the patience
  /// while that is far too much.
  private static let pace = Duration.seconds(1)

  private let limit: Int
  private let patience: Duration
  /// Bytes that wait in all outboxes.
  package private(set) var held = 0
  private var holders: [ObjectIdentifier: Connection] = [:]
  private var timer: ControlTimer?

  /// A budget of `limit` bytes.
  package nonisolated init(
    limit: Int = OutboxBudget.bytes, patience: Duration = Connection.patience
  ) {
    self.limit = limit
    self.patience = patience
  }

  /// Whether more is held than should be.
  package var isOver: Bool { held > limit }

  /// Counts a change of what waits for the peer of `connection`.
  func count(_ connection: Connection, _ change: Int) {
    guard change != 0 else { return }
    let wasOver = isOver
    held += change
    holders[ObjectIdentifier(connection)] = connection.held > 0 ? connection : nil
    if isOver && timer == nil { watch() }
    if wasOver && !isOver { ControlPlane.post { self.ease() } }
  }

  private func watch() {
    timer = ControlTimer(after: min(patience, OutboxBudget.pace)) {
      self.timer = nil
      self.dropLate()
      if self.isOver { self.watch() }
    }
  }

  private func dropLate() {
    let late = holders.values.filter { $0.isLate(by: min(patience, OutboxBudget.pace)) }
    for connection in late.sorted(by: { $0.held > $1.held }) {
      guard isOver else { return }
      if held > 2 * limit || connection.isLate(by: patience) { connection.close(.overBudget) }
    }
  }

  private func ease() {
    guard !isOver else { return }
    for connection in holders.values { connection.ease() }
  }
}
