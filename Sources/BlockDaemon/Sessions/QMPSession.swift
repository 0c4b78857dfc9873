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
  /// Bad messages in a row after which there is no client left that could be meant.
  private static let mostBadMessages = 16

  private let connection: Connection
  private let access: SessionAccess
  private let messageTime: Duration
  private let dispatcher: CommandDispatcher
  private let events: EventBus
  private let log: Logger
  private let closed: @ControlPlane (QMPSession) -> Void

  private var framer = MessageFramer()
  private var isNegotiated = false
  private var isBusy = false
  /// The client sends no more; the session ends with the last answer.
  private var hasEnded = false
  /// Bad messages since the last good one.
  private var badMessages = 0
  /// Runs while a message has begun and not ended.
  private var deadline: ControlTimer?

  /// A session on `connection`, which has not been started, whose client may take `messageTime`
  /// for a message. `closed` is called when it is over.
  init(
    _ connection: Connection, _ access: SessionAccess, messageTime: Duration,
    _ dispatcher: CommandDispatcher, _ events: EventBus, _ log: Logger,
    closed: @escaping @ControlPlane (QMPSession) -> Void
  ) {
    self.connection = connection
    self.access = access
    self.messageTime = messageTime
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
    watchMessage()
  }

  /// Gives a client that has begun a message its time to end it. While a command runs nothing is
  /// read, and what is read already stands whole or waits for its turn.
  private func watchMessage() {
    guard framer.isInsideMessage, !isBusy, !hasEnded else {
      deadline = nil
      return
    }
    guard deadline == nil else { return }
    deadline = ControlTimer(after: messageTime) { [unowned self] in
      log.warning("Client dropped: it does not end its message")
      connection.close()
    }
  }

  /// Takes the next message, as long as none is being worked on.
  private func advance() {
    while !isBusy {
      let frame = framer.next()
      // The next message has a time of its own.
      if frame != nil { deadline = nil }
      switch frame {
      case nil:
        if hasEnded { connection.finish() }
        return
      case .error(let error):
        refuse(QMPResponse(.failure(error)))
      case .message(let message):
        do throws(QMPError) {
          let request = try QMPRequest(message)
          badMessages = 0
          run(request)
        } catch {
          refuse(QMPResponse(.failure(error), id: QMPSession.echo(message["id"])))
        }
      }
    }
  }

  /// The id of a bad message, where it is short: numbers may be longer in our spelling than in the
  /// client's, and the answer to garbage must not outgrow it.
  private static func echo(_ id: JSONValue?) -> JSONValue? {
    id.flatMap { $0.utf8.count <= 128 ? $0 : nil }
  }

  /// Answers a bad message; the last that is borne ends the session.
  private func refuse(_ response: QMPResponse) {
    send(response.message)
    badMessages += 1
    guard badMessages == QMPSession.mostBadMessages else { return }
    log.warning("Client dropped: \(badMessages) bad messages in a row")
    isBusy = true
    connection.finish()
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
        watchMessage()
      }
    }
  }

  /// Before negotiation there is one command, after it there are all others that the socket has.
  private func sessionError(_ request: QMPRequest) -> QMPError? {
    if request.execute == QMPCapabilities.name { return nil }
    return isNegotiated ? access.refusal(of: request.execute) : .capabilitiesExpected
  }

  private func negotiate(_ arguments: JSONObject) -> Result<JSONValue, QMPError> {
    do throws(QMPError) {
      let call = try QMPCapabilities(arguments: arguments)
      guard !isNegotiated else { throw .capabilitiesDone }
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
    deadline = nil
    events.unsubscribe(self)
    switch reason {
    case .outboxFull, .notRead: log.warning("Client dropped: it does not read (\(reason))")
    default: log.debug("Client gone: \(reason)")
    }
    closed(self)
  }
}
