import BlockJobs
import BlockRuntime
import Glibc
import QMP

/// Sends every event to every client that has negotiated, in the order in which they happen.
///
/// Isolation: control plane.
@ControlPlane
final class EventBus {
  private var sinks: [ObjectIdentifier: @ControlPlane (QMPEvent) -> Void] = [:]
  private var history: EventHistory
  /// Whose events these are: the numbers of another daemon, or of this one before it was started
  /// anew, mean others.
  private let instance = String(UInt64.random(in: 1 << 60...UInt64.max), radix: 16)

  /// A bus that remembers its latest `remembered` events.
  nonisolated init(remembered: Int) { history = EventHistory(capacity: remembered) }

  /// Events of the past, the oldest first, after number `sequence` of `instance`; after none where
  /// that is another one than ours.
  func page(since sequence: Int, of instance: String?, limit: Int) -> EventPage {
    let isOurs = instance == nil || instance == self.instance
    var page = history.page(since: isOurs ? sequence : 0, limit: limit)
    page.instance = self.instance
    return page
  }

  /// From now on `sink` hears of every event.
  func subscribe(_ subscriber: AnyObject, _ sink: @escaping @ControlPlane (QMPEvent) -> Void) {
    sinks[ObjectIdentifier(subscriber)] = sink
  }

  /// `subscriber` hears of nothing any more.
  func unsubscribe(_ subscriber: AnyObject) { sinks[ObjectIdentifier(subscriber)] = nil }

  /// Tells everybody.
  func send(_ payload: some QMPEventPayload) {
    let event = history.add(payload, at: .now)
    for sink in sinks.values { sink(event) }
  }

  /// Tells everybody what happened to a job.
  func send(_ event: JobEvent) {
    switch event {
    case .statusChanged(let id, let status):
      send(
        JobStatusChange {
          $0.id = id
          $0.status = status.wire
        })
    case .ready(let facts): send(BlockJobReady { $0.job = facts.wire })
    case .completed(let facts, let error):
      send(
        BlockJobCompleted {
          ($0.job, $0.error) = (facts.wire, error)
        })
    case .cancelled(let facts): send(BlockJobCancelled { $0.job = facts.wire })
    case .pending(let type, let id):
      send(
        BlockJobPending {
          ($0.type, $0.id) = (type.wire, id)
        })
    case .error(let device, let operation, let action):
      send(
        BlockJobError {
          ($0.device, $0.operation, $0.action) = (device, operation.wire, action.wire)
        })
    }
  }
}

extension BlockJobFacts {
  /// The protocol's form of it.
  fileprivate var wire: BlockJobReport {
    BlockJobReport {
      ($0.type, $0.device) = (type.wire, device)
      ($0.len, $0.offset, $0.speed) = (length, offset, speed)
    }
  }
}

extension QMPEvent.Timestamp {
  /// The wall clock's time: what clients compare with their own logs.
  static var now: QMPEvent.Timestamp {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return QMPEvent.Timestamp(seconds: time.tv_sec, microseconds: time.tv_nsec / 1000)
  }
}
