import QMP

/// The latest events, for clients that were not there when they happened.
///
/// Isolation: value.
struct EventHistory {
  private let capacity: Int
  /// Event number n stands at index (n - 1) modulo `capacity`.
  private var events: [QMPEvent] = []
  /// The number of the newest event; 0 before the first.
  private(set) var last = 0

  /// A history of at most `capacity` events.
  init(capacity: Int) {
    precondition(capacity > 0)
    self.capacity = capacity
  }

  /// Numbers an event and keeps it in place of the oldest.
  mutating func add(_ payload: some QMPEventPayload, at timestamp: QMPEvent.Timestamp) -> QMPEvent {
    let event = QMPEvent(payload, at: timestamp, sequence: last + 1)
    if events.count < capacity { events.append(event) } else { events[last % capacity] = event }
    last += 1
    return event
  }

  /// The first `limit` events after number `sequence` that are still there.
  func page(since sequence: Int, limit: Int) -> EventPage {
    let first = max(sequence, last - events.count)
    let end = first + min(limit, max(0, last - first))
    return EventPage {
      $0.events = first < end ? (first..<end).map { events[$0 % capacity].message } : []
      $0.last = last
      $0.lost = min(first, last) - min(sequence, last)
    }
  }
}
