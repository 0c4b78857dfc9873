import BlockRuntime

/// What the clients of a socket have sent and nobody has worked on yet: messages that have not
/// ended, and such as wait for their turn.
///
/// Each client has a limit of its own, but thousands that begin a long message would still hold
/// gigabytes for as long as they may take for it. While all together hold more than `limit` bytes,
/// clients that hold more than their share are dropped, the one that has held something for the
/// longest time first: whoever sends a long message in one go is not it.
///
/// Isolation: control plane.
@ControlPlane
final class InputBudget {
  /// Of the clients of one socket.
  nonisolated static let bytes = 32 << 20

  private struct Holder {
    let session: QMPSession
    let order: Int
    var bytes: Int
  }

  private let limit: Int
  private var held = 0
  private var holders: [ObjectIdentifier: Holder] = [:]
  private var lastOrder = 0

  /// A budget of `limit` bytes.
  nonisolated init(limit: Int = InputBudget.bytes) { self.limit = limit }

  /// Notes that `session` now holds `bytes`. May end it, or others.
  func count(_ session: QMPSession, _ bytes: Int) {
    let key = ObjectIdentifier(session)
    held += bytes - (holders[key]?.bytes ?? 0)
    if bytes == 0 {
      holders[key] = nil
    } else if holders[key] == nil {
      lastOrder += 1
      holders[key] = Holder(session: session, order: lastOrder, bytes: bytes)
    } else {
      holders[key]?.bytes = bytes
    }
    while held > limit { dropOne() }
  }

  /// There is one above its share, as all together are above the limit.
  private func dropOne() {
    let share = limit / holders.count
    let greedy = holders.filter { $0.value.bytes > share }
    guard let oldest = greedy.min(by: { $0.value.order < $1.value.order }) else { return }
    holders[oldest.key] = nil
    held -= oldest.value.bytes
    oldest.value.session.drop("messages that wait or have not ended hold too much")
  }
}
