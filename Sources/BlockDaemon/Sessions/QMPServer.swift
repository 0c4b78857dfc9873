import BlockRuntime
import Logging
import SocketIO

/// Accepts clients and keeps their sessions.
///
/// Isolation: control plane.
@ControlPlane
final class QMPServer {
  private let dispatcher: CommandDispatcher
  private let events: EventBus
  private let rules: ClientRules
  private let log: Logger
  private var listeners: [UnixListener] = []
  private let lines = QueryLines()
  /// What waits for the clients of each socket: those of the one that do not read do not hold up
  /// the other's.
  private let budgets: [SessionAccess: OutboxBudget] = [
    .full: OutboxBudget(), .queries: OutboxBudget(),
  ]
  /// The same for what those clients have sent.
  private let inputs: [SessionAccess: InputBudget] = [
    .full: InputBudget(), .queries: InputBudget(),
  ]
  /// Of clients that may not come in, and of those for whom there is no place.
  private let strangers: RepeatedWarning
  private let crowd: RepeatedWarning
  /// Of clients that are dropped, by the reason.
  private var drops: [String: RepeatedWarning] = [:]
  private var sessions: [ObjectIdentifier: QMPSession] = [:]
  /// How many of them may only query.
  private var readers = 0
  private var allGone: (@ControlPlane () -> Void)?
  /// Called when the last client has gone.
  var whenEmpty: @ControlPlane () -> Void = {}

  init(
    _ dispatcher: CommandDispatcher, _ events: EventBus, _ rules: ClientRules, _ log: Logger
  ) {
    self.rules = rules
    self.dispatcher = dispatcher
    self.events = events
    self.log = log
    strangers = RepeatedWarning { log.warning("\($0)") }
    crowd = RepeatedWarning { log.warning("\($0)") }
  }

  /// Whether no client is connected.
  var isEmpty: Bool { sessions.isEmpty }

  /// Clients of `listener` are heard from now on, and may ask for what `access` says.
  func serve(_ listener: UnixListener, _ access: SessionAccess) {
    listeners.append(listener)
    listener.start(budgets[access]) { connection in self.accept(connection, access) }
  }

  /// Lets no new client in.
  func stopListening() {
    listeners.forEach { $0.close() }
    listeners = []
    strangers.flush()
    crowd.flush()
  }

  /// Tells that a client is dropped. There are few reasons, and each is told once a second.
  private func warn(_ reason: String, _ client: PeerCredentials?) {
    let warning = drops[reason] ?? RepeatedWarning { [log] in log.warning("\($0)") }
    drops[reason] = warning
    let who = client.map { " (process \($0.processID), user \($0.userID))" } ?? ""
    warning.note("Client dropped: \(reason)\(who)")
  }

  /// Ends all sessions when their last answers are sent, and returns when they are over, or when
  /// `patience` has passed: a client that does not read cannot hold up the end.
  func finishSessions(patience: Duration) async {
    defer { drops.values.forEach { $0.flush() } }
    for session in sessions.values { session.finish() }
    if sessions.isEmpty { return }
    let timer = ControlTimer(after: patience) {
      for session in self.sessions.values { session.close() }
    }
    await withCheckedContinuation { continuation in
      allGone = { continuation.resume() }
    }
    timer.cancel()
  }

  private func accept(_ connection: Connection, _ access: SessionAccess) {
    if let peer = connection.peer {
      log.debug("Client \(peer.processID), user \(peer.userID), group \(peer.groupID)")
    }
    guard admit(connection, access), let input = inputs[access] else { return connection.close() }
    let session = QMPSession(
      connection, access, messageTime: rules.messageTime, dispatcher, lines, input, events, log,
      warn: { [unowned self, peer = connection.peer] reason in warn(reason, peer) }
    ) { [unowned self] session in
      forget(session)
      guard sessions.isEmpty else { return }
      allGone.take()?()
      whenEmpty()
    }
    sessions[ObjectIdentifier(session)] = session
    if access == .queries { readers += 1 }
    session.start()
  }

  private func forget(_ session: QMPSession) {
    guard sessions.removeValue(forKey: ObjectIdentifier(session)) != nil else { return }
    if session.access == .queries { readers -= 1 }
  }

  /// Whether a client may have a session; the log tells of those who may not.
  private func admit(_ connection: Connection, _ access: SessionAccess) -> Bool {
    guard rules.admit(connection.peer) else {
      let user = connection.peer.map { "user \($0.userID), group \($0.groupID)" } ?? "unknown"
      strangers.note("Client turned away: \(user)")
      return false
    }
    guard hasRoom(access) || makeRoom(access) else {
      crowd.note("Client turned away: there are \(sessions.count)")
      return false
    }
    return true
  }

  /// Whether a client of the socket finds a place. Those who may only query are not given all:
  /// whoever controls the daemon must get in, however many look on.
  private func hasRoom(_ access: SessionAccess) -> Bool {
    sessions.count < rules.maximum
      && (access == .full || readers < rules.maximum - rules.reserved)
  }

  /// Ends the oldest session that had its time to negotiate and did not; false where all have. Who
  /// may only query gets the place of somebody like it.
  private func makeRoom(_ access: SessionAccess) -> Bool {
    let silent = sessions.values.filter {
      !$0.isNegotiated && $0.began.duration(to: .now) >= rules.messageTime
        && (access == .full || $0.access == .queries)
    }
    guard let oldest = silent.min(by: { $0.began < $1.began }) else { return false }
    forget(oldest)
    oldest.drop("it has not negotiated, and another wants its place")
    return true
  }
}
