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
  private let log: Logger
  private var listeners: [UnixListener] = []
  private var sessions: [ObjectIdentifier: QMPSession] = [:]
  private var allGone: (@ControlPlane () -> Void)?
  /// Called when the last client has gone.
  var whenEmpty: @ControlPlane () -> Void = {}

  init(_ dispatcher: CommandDispatcher, _ events: EventBus, _ log: Logger) {
    self.dispatcher = dispatcher
    self.events = events
    self.log = log
  }

  /// Whether no client is connected.
  var isEmpty: Bool { sessions.isEmpty }

  /// Clients of `listener` are heard from now on.
  func serve(_ listener: UnixListener) {
    listeners.append(listener)
    listener.start { connection in self.accept(connection) }
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

  private func accept(_ connection: Connection) {
    if let peer = connection.peer {
      log.debug("Client \(peer.processID), user \(peer.userID), group \(peer.groupID)")
    }
    let session = QMPSession(connection, dispatcher, events, log) { [unowned self] session in
      sessions[ObjectIdentifier(session)] = nil
      guard sessions.isEmpty else { return }
      allGone.take()?()
      whenEmpty()
    }
    sessions[ObjectIdentifier(session)] = session
    session.start()
  }
}
