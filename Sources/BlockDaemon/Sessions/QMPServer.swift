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
  private var sessions: [ObjectIdentifier: QMPSession] = [:]
  private var allGone: (@ControlPlane () -> Void)?
  /// Whether clients are turned away because there are too many: told once, not for each.
  private var isFull = false
  /// Called when the last client has gone.
  var whenEmpty: @ControlPlane () -> Void = {}

  init(
    _ dispatcher: CommandDispatcher, _ events: EventBus, _ rules: ClientRules, _ log: Logger
  ) {
    self.rules = rules
    self.dispatcher = dispatcher
    self.events = events
    self.log = log
  }

  /// Whether no client is connected.
  var isEmpty: Bool { sessions.isEmpty }

  /// Clients of `listener` are heard from now on, and may ask for what `access` says.
  func serve(_ listener: UnixListener, _ access: SessionAccess) {
    listeners.append(listener)
    listener.start { connection in self.accept(connection, access) }
  }

  /// Lets no new client in.
  func stopListening() {
    listeners.forEach { $0.close() }
    listeners = []
  }

  /// Ends all sessions when their last answers are sent, and returns when they are over, or when
  /// `patience` has passed: a client that does not read cannot hold up the end.
  func finishSessions(patience: Duration) async {
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
    guard admit(connection) else { return connection.close() }
    let session = QMPSession(
      connection, access, messageTime: rules.messageTime, dispatcher, events, log
    ) { [unowned self] session in
      sessions[ObjectIdentifier(session)] = nil
      guard sessions.isEmpty else { return }
      allGone.take()?()
      whenEmpty()
    }
    sessions[ObjectIdentifier(session)] = session
    session.start()
  }

  /// Whether a client may have a session; the log tells of those who may not.
  private func admit(_ connection: Connection) -> Bool {
    guard rules.admit(connection.peer) else {
      let user = connection.peer.map { "user \($0.userID), group \($0.groupID)" } ?? "unknown"
      log.warning("Client turned away: \(user)")
      return false
    }
    let wasFull = isFull
    isFull = sessions.count >= rules.maximum && !makeRoom()
    if isFull && !wasFull { log.warning("Clients turned away: there are \(sessions.count)") }
    return !isFull
  }

  /// Ends the oldest session that had its time to negotiate and did not; false where all have.
  private func makeRoom() -> Bool {
    let silent = sessions.values.filter {
      !$0.isNegotiated && $0.began.duration(to: .now) >= rules.messageTime
    }
    guard let oldest = silent.min(by: { $0.began < $1.began }) else { return false }
    log.info("Client dropped: it has not negotiated, and another wants its place")
    sessions[ObjectIdentifier(oldest)] = nil
    oldest.close()
    return true
  }
}
