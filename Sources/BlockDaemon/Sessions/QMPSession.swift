import BlockRuntime
import JSONValue
import Logging
import QMP
import SocketIO

/// One client: its bytes are cut into messages, its commands run one after the other, its answers
/// keep their order. Events come between them as they happen.
///
/// While a command runs, nothing more is read from this client; others are not affected.
///
/// Isolation: control plane.
@ControlPlane
final class QMPSession {
  private let connection: Connection
  private let dispatcher: CommandDispatcher
  private let events: EventBus
  private let log: Logger
  private let closed: @ControlPlane (QMPSession) -> Void

  private var framer = MessageFramer()
  private var isNegotiated = false
  private var isBusy = false
  /// The client sends no more; the session ends with the last answer.
  private var hasEnded = false

  /// A session on `connection`, which has not been started. `closed` is called when it is over.
  init(
    _ connection: Connection, _ dispatcher: CommandDispatcher, _ events: EventBus, _ log: Logger,
    closed: @escaping @ControlPlane (QMPSession) -> Void
  ) {
    self.connection = connection
    self.dispatcher = dispatcher
    self.events = events
    self.log = log
    self.closed = closed
  }

  /// Greets the client and begins to listen to it.
  func start() {
    connection.start(
      Connection.Handlers(
        received: { self.received($0) },
        ended: {
          self.hasEnded = true
          self.advance()
        },
        closed: { self.over($0) }))
    send(QMPGreeting(version: .ours).message)
  }

  /// Ends the session when everything that waits has been sent.
  func finish() { connection.finish() }

  /// Ends the session at once.
  func close() { connection.close() }

  private func received(_ bytes: [UInt8]) {
    framer.receive(bytes)
    advance()
  }

  /// Takes the next message, as long as none is being worked on.
  private func advance() {
    while !isBusy {
      switch framer.next() {
      case nil:
        if hasEnded { connection.finish() }
        return
      case .error(let error):
        send(QMPResponse(.failure(error)).message)
      case .message(let message):
        do throws(QMPError) {
          run(try QMPRequest(message))
        } catch {
          send(QMPResponse(.failure(error), id: message["id"]).message)
        }
      }
    }
  }

  private func run(_ request: QMPRequest) {
    if let error = sessionError(request) {
      send(QMPResponse(.failure(error), id: request.id).message)
    } else if request.execute == QMPCapabilities.name {
      send(QMPResponse(negotiate(request.arguments), id: request.id).message)
    } else {
      isBusy = true
      connection.pauseReading()
      Task {
        let result = await dispatcher.perform(request)
        send(QMPResponse(result, id: request.id).message)
        isBusy = false
        connection.resumeReading()
        advance()
      }
    }
  }

  /// Before negotiation there is one command, after it there are all others.
  private func sessionError(_ request: QMPRequest) -> QMPError? {
    if request.execute == QMPCapabilities.name { return isNegotiated ? .capabilitiesDone : nil }
    return isNegotiated ? nil : .capabilitiesExpected
  }

  private func negotiate(_ arguments: JSONObject) -> Result<JSONValue, QMPError> {
    do throws(QMPError) {
      let call = try QMPCapabilities(arguments: arguments)
      if let unknown = call.enable.first {
        throw QMPError(
          unknown == "oob"
            ? "This server does not provide the capability 'oob'"
            : "Parameter 'enable' does not accept value '\(QMPError.quoted(unknown))'")
      }
    } catch {
      return .failure(error)
    }
    isNegotiated = true
    events.subscribe(self) { [unowned self] event in send(event.message) }
    return .success(EmptyReply().wire)
  }

  private func send(_ message: JSONValue) {
    var bytes = message.utf8
    bytes += [UInt8(ascii: "\r"), UInt8(ascii: "\n")]
    connection.send(bytes)
  }

  private func over(_ reason: Connection.CloseReason) {
    events.unsubscribe(self)
    switch reason {
    case .outboxFull, .notRead: log.warning("Client dropped: it does not read (\(reason))")
    default: log.debug("Client gone: \(reason)")
    }
    closed(self)
  }
}
