import BlockRuntime
import JSONValue
import Logging
import QMP
import SocketIO

/// One client: its bytes are cut into messages, its commands run one after the other, its answers
/// keep their order. Events come between them as they happen.
///
/// While a command runs, nothing more is read from this client; others are not affected. A client
/// that has enabled out-of-band commands is read on for a few messages: those out of band are
/// answered at once, the others wait for their turn. No command is begun while the client has not
/// read the answers to those before it. A client that is gone is not waited for: its commands are
/// told so, as far as they wait for something, and what they do comes to its end without it.
///
/// Isolation: control plane.
@ControlPlane
final class QMPSession {
  /// Bad messages in a row after which there is no client left that could be meant.
  private static let mostBadMessages = 16
  /// Messages that wait while a command runs, and commands out of band at one time.
  private static let mostWaiting = 8
  /// The most bytes of an answer.
  private static let longestAnswer = 16 << 20
  /// What stands at least around an `id`: `{"execute":"x","id":}`.
  private static let aroundID = 21

  private let connection: Connection
  /// What the client may ask for.
  let access: SessionAccess
  private let messageTime: Duration
  private let dispatcher: CommandDispatcher
  private let lines: QueryLines
  private let input: InputBudget
  private let events: EventBus
  private let log: Logger
  /// Tells the log why the client is dropped.
  private let warn: @ControlPlane (String) -> Void
  private let closed: @ControlPlane (QMPSession) -> Void
  private let descriptors: ClientDescriptors

  /// What the client has sent.
  private enum Message {
    case request(QMPRequest)
    /// The answer to something that is no request.
    case bad(QMPResponse)
  }

  private struct Waiting {
    let message: Message
    /// How many the client sent for it.
    let bytes: Int
    /// Where it stands in the client's stream, and where the message before it ended there.
    let place: Range<Int>
    let endOfBefore: Int
  }

  private var framer = MessageFramer()
  /// When the client came.
  let began = ContinuousClock.now
  /// Whether the client has sent `qmp_capabilities`.
  private(set) var isNegotiated = false
  private var allowsOutOfBand = false
  private var isBusy = false
  /// Messages in the order in which they came, to be taken when none is worked on.
  private var waiting: [Waiting] = []
  /// Commands out of band that are at work.
  private var outOfBand = 0
  /// All commands that are at work, by the order in which they were begun.
  private var work: [Int: Task<Void, Never>] = [:]
  private var lastWork = 0
  /// The client sends no more; the session ends with the last answer.
  private var hasEnded = false
  /// Bad messages since the last good one.
  private var badMessages = 0
  /// Runs while a message has begun and not ended, and where that began in the stream.
  private var deadline: ControlTimer?
  private var startOfTimed = 0

  /// A session on `connection`, which has not been started, whose client may take `messageTime`
  /// for a message. `closed` is called when it is over.
  init(
    _ connection: Connection, _ access: SessionAccess, messageTime: Duration,
    _ dispatcher: CommandDispatcher, _ lines: QueryLines, _ input: InputBudget,
    _ events: EventBus, _ log: Logger, warn: @escaping @ControlPlane (String) -> Void,
    closed: @escaping @ControlPlane (QMPSession) -> Void
  ) {
    self.connection = connection
    self.access = access
    self.messageTime = messageTime
    self.dispatcher = dispatcher
    self.lines = lines
    self.input = input
    self.events = events
    self.log = log
    self.warn = warn
    self.closed = closed
    descriptors = ClientDescriptors(connection, access)
    connection.takesDescriptors = access == .full
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
        eased: { self.advance() },
        closed: { self.over($0) }))
    let greeting = QMPGreeting(
      version: .ours, capabilities: QMPCapabilities.Capability.allCases.map(\.rawValue))
    connection.send(QMPSession.line(greeting.message))
  }

  /// Ends the session when everything that waits has been sent.
  func finish() { connection.finish() }

  /// Ends the session at once.
  func close() { connection.close() }

  /// Ends the session at once, and tells the log why.
  func drop(_ reason: String) {
    warn(reason)
    forgetInput()
    connection.close()
  }

  /// Lets go of what the client has sent.
  private func forgetInput() {
    (framer, waiting) = (MessageFramer(), [])
    input.count(self, 0)
  }

  // MARK: Messages

  private func received(_ bytes: [UInt8]) {
    framer.receive(bytes)
    advance()
  }

  /// Whether another message may be taken from the stream.
  private var takesMessages: Bool {
    guard !connection.isCongested, badMessages < QMPSession.mostBadMessages else { return false }
    guard allowsOutOfBand else { return !isBusy && waiting.isEmpty }
    return waiting.count < QMPSession.mostWaiting && outOfBand < QMPSession.mostWaiting
  }

  /// Takes messages from the stream and works on them, as far as may be.
  private func advance() {
    var isDrained = takeMessages()
    while !isBusy, !waiting.isEmpty, !connection.isCongested {
      let next = waiting.removeFirst()
      // What came with the messages before, and was not asked for.
      connection.dropDescriptors(ofFirst: next.endOfBefore)
      descriptors.message = next.place
      switch next.message {
      case .bad(let answer): refuse(answer, next.bytes)
      case .request(let request):
        badMessages = 0
        run(request, next.bytes)
      }
      isDrained = takeMessages()
    }
    let isIdle = !isBusy && waiting.isEmpty
    // One that came behind the last message may be for the next.
    if isDrained && isIdle { connection.dropDescriptors(ofFirst: framer.endOfLast) }
    if takesMessages { connection.resumeReading() } else { connection.pauseReading() }
    if isDrained && hasEnded && !isBusy && waiting.isEmpty && outOfBand == 0 {
      connection.finish()
    }
    watchMessage()
    input.count(self, waiting.reduce(framer.heldBytes) { $0 + $1.bytes })
  }

  /// Begins commands out of band, and lets other messages wait. Returns whether the stream holds no
  /// whole message any more.
  private func takeMessages() -> Bool {
    while takesMessages {
      guard let frame = framer.next() else { return true }
      let message = QMPSession.message(
        in: frame, bytes: framer.messageBytes, outOfBand: allowsOutOfBand)
      if case .request(let request) = message, request.isOutOfBand {
        // None of these takes one; what came with those that wait stays for them.
        connection.dropDescriptors(ofFirst: framer.endOfLast, but: framer.endOfBefore)
        runOutOfBand(request, framer.messageBytes)
      } else {
        waiting.append(
          Waiting(
            message: message, bytes: framer.messageBytes,
            place: framer.startOfLast..<framer.endOfLast, endOfBefore: framer.endOfBefore))
      }
    }
    return false
  }

  private static func message(
    in frame: MessageFramer.Frame, bytes: Int, outOfBand: Bool
  ) -> Message {
    switch frame {
    case .error(let error): return .bad(QMPResponse(.failure(error)))
    case .message(let message):
      let id = message["id"]
      // Numbers and characters may be longer in our spelling than in the client's, and the answer
      // to garbage must not outgrow it.
      if let id, id.utf8.count > 2 * bytes {
        return .bad(
          QMPResponse(
            .failure(QMPError("QMP input member 'id' would be far longer in the answer"))))
      }
      do throws(QMPError) {
        return .request(try QMPRequest(message, outOfBand: outOfBand))
      } catch {
        return .bad(QMPResponse(.failure(error), id: id))
      }
    }
  }

  /// Gives a client that has begun a message its time to end it. While nothing is read from it,
  /// what is read already stands whole or waits for its turn.
  private func watchMessage() {
    guard framer.isInsideMessage, takesMessages, !hasEnded else {
      deadline = nil
      return
    }
    // Each message has a time of its own; what is left of a bad one belongs to that.
    guard deadline == nil || startOfTimed != framer.startOfPresent else { return }
    startOfTimed = framer.startOfPresent
    deadline = ControlTimer(after: messageTime) { [unowned self] in
      drop("it does not end its message")
    }
  }

  /// Answers a bad message; the last that is borne ends the session.
  private func refuse(_ response: QMPResponse, _ bytes: Int) {
    send(response, to: bytes)
    badMessages += 1
    guard badMessages == QMPSession.mostBadMessages else { return }
    warn("\(badMessages) bad messages in a row")
    isBusy = true
    connection.finish()
  }

  // MARK: Commands

  // `bytes` is the length of the message that a request came in.
  private func run(_ request: QMPRequest, _ bytes: Int) {
    if let error = sessionError(request) {
      send(QMPResponse(.failure(error), id: request.id), to: bytes)
    } else if request.execute == QMPCapabilities.name {
      send(QMPResponse(negotiate(request.arguments), id: request.id), to: bytes)
    } else {
      isBusy = true
      begin(request, bytes) { self.isBusy = false }
    }
  }

  private func runOutOfBand(_ request: QMPRequest, _ bytes: Int) {
    badMessages = 0
    let refusal =
      CommandCatalog.refusesOutOfBand(request.execute)
      ? QMPError.notOutOfBand(request.execute) : sessionError(request)
    if let refusal { return send(QMPResponse(.failure(refusal), id: request.id), to: bytes) }
    outOfBand += 1
    begin(request, bytes) { self.outOfBand -= 1 }
  }

  /// Works on `request`, calls `done` when it is answered, and goes on.
  private func begin(
    _ request: QMPRequest, _ bytes: Int, _ done: @escaping @ControlPlane () -> Void
  ) {
    lastWork += 1
    let number = lastWork
    work[number] = Task {
      await perform(request, bytes)
      work[number] = nil
      done()
      advance()
    }
  }

  private func perform(_ request: QMPRequest, _ bytes: Int) async {
    guard let line = lines.line(for: request.execute) else {
      let result = await dispatcher.perform(request, descriptors)
      return send(QMPResponse(result, id: request.id), to: bytes)
    }
    let query = QueryLine.Query(name: request.execute, arguments: request.arguments)
    let answer = await line.answer(query, for: access) {
      await dispatcher.perform(request, descriptors).map(QMPResponse.beginning)
    }
    switch answer {
    case .success(let text) where text.count <= QMPSession.longestAnswer:
      connection.send(answer: text, QMPResponse.ending(id: request.id))
    case .success: refuseLength(id: request.id)
    case .failure(let error): send(QMPResponse(.failure(error), id: request.id), to: bytes)
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
      allowsOutOfBand = call.enable.contains(.outOfBand)
    } catch {
      return .failure(error)
    }
    isNegotiated = true
    events.subscribe(self) { [unowned self] event in
      connection.send(QMPSession.line(event.message))
    }
    return .success(EmptyReply().wire)
  }

  /// Sends the answer to a message of `bytes`. An error must not outgrow what it answers by far: it
  /// is cut short, and comes without an `id` that is longer by itself than any that was in the
  /// message where both together would.
  private func send(_ response: QMPResponse, to bytes: Int) {
    guard case .failure(let error) = response.result else {
      let line = QMPSession.line(response.message)
      guard line.count > QMPSession.longestAnswer else { return connection.send(answer: line) }
      return refuseLength(id: response.id)
    }
    var answer = QMPResponse(.failure(error.fitted), id: response.id)
    var line = QMPSession.line(answer.message)
    if line.count > 2 * bytes + 256, let id = answer.id,
      id.utf8.count > bytes - QMPSession.aroundID
    {
      answer.id = nil
      line = QMPSession.line(answer.message)
    }
    connection.send(answer: line)
  }

  private func refuseLength(id: JSONValue?) {
    let error = QMPError("The answer would be longer than \(QMPSession.longestAnswer) bytes")
    connection.send(answer: QMPSession.line(QMPResponse(.failure(error), id: id).message))
  }

  private static func line(_ message: JSONValue) -> [UInt8] {
    message.utf8 + [UInt8(ascii: "\r"), UInt8(ascii: "\n")]
  }

  private func over(_ reason: Connection.CloseReason) {
    deadline = nil
    for task in work.values { task.cancel() }
    descriptors.closeAll()
    events.unsubscribe(self)
    forgetInput()
    switch reason {
    case .outboxFull, .notRead, .overBudget: warn("it does not read (\(reason))")
    default: log.debug("Client gone: \(reason)")
    }
    closed(self)
  }
}
