package import JSONValue
package import QMP

/// A connection to a daemon, for programs that do one thing after the other. Every call waits: for
/// its answer, its deadline, or one of the client's signals, whatever comes first.
///
/// After `timedOut` or `interrupted` the client may go on: the late answer is thrown away when it
/// comes. (If the request itself could not be sent whole, the connection is closed.)
///
/// Isolation: one thread at a time.
package final class QMPClient {
  /// What the daemon said first.
  package let greeting: QMPGreeting

  private let socket: ServerSocket
  private var framer: MessageFramer
  private var events: [QMPEvent] = []
  private var lastID = 0

  /// Connects to the daemon at `path` and negotiates capabilities. From now on `signals` (such as
  /// SIGINT) end waits with `interrupted` instead of having their usual effect.
  package convenience init(
    connectingTo path: String, timeout: Duration? = .seconds(30),
    interruptedBy signals: [Int32] = []
  ) throws(QMPClientError) {
    try self.init(over: ServerSocket(path: path, interruptedBy: signals), timeout: timeout)
  }

  /// Negotiates capabilities over a connection.
  init(over socket: ServerSocket, timeout: Duration?) throws(QMPClientError) {
    let deadline = QMPClient.deadline(after: timeout)
    var framer = MessageFramer(limits: .answer)
    guard case .greeting(let greeting) = try QMPClient.next(&framer, from: socket, until: deadline)
    else { throw .protocolViolation("no greeting") }
    self.greeting = greeting
    self.socket = socket
    self.framer = framer
    _ = try execute("qmp_capabilities", timeout: timeout)
  }

  /// Carries out a command and returns what it answers. Events that come before the answer wait for
  /// `nextEvent`. A `timeout` of nil waits for ever.
  @discardableResult
  package func execute(
    _ command: String, _ arguments: JSONObject = [:], timeout: Duration? = nil
  ) throws(QMPClientError) -> JSONValue {
    let request = QMPRequest(execute: command, arguments: arguments)
    let answers = try execute(together: [request], timeout: timeout)
    do throws(QMPError) { return try answers[0].get() } catch { throw .refused(error) }
  }

  /// Sends all `requests`, whose ids are replaced, before it waits for the first answer, so that a
  /// client that dies leaves none of them out. The daemon takes each one whatever became of those
  /// before. Returns what it answers, in the order of the requests.
  package func execute(
    together requests: [QMPRequest], timeout: Duration? = nil
  ) throws(QMPClientError) -> [Result<JSONValue, QMPError>] {
    let deadline = QMPClient.deadline(after: timeout)
    let firstID = lastID + 1
    var bytes: [UInt8] = []
    for var request in requests {
      lastID += 1
      request.id = .integer(lastID)
      request.message.append(to: &bytes)
      bytes.append(UInt8(ascii: "\n"))
    }
    try socket.send(bytes, until: deadline) { framer.receive($0) }
    var answers: [Result<JSONValue, QMPError>] = []
    while answers.count < requests.count {
      switch try QMPClient.next(&framer, from: socket, until: deadline) {
      case .event(let event): events.append(event)
      case .response(let response):
        // Answers keep the order of the requests. One without id is to a message that the daemon
        // could not read.
        guard response.id == .integer(firstID + answers.count) || response.id == nil else {
          continue
        }
        answers.append(response.result)
      case .greeting: throw .protocolViolation("a second greeting")
      }
    }
    return answers
  }

  /// Carries out a typed command.
  @discardableResult
  package func execute<Command: QMPCommand>(
    _ command: Command, timeout: Duration? = nil
  ) throws(QMPClientError) -> Command.Reply {
    let value = try execute(Command.name, command.object, timeout: timeout)
    do throws(QMPError) {
      return try Command.Reply(wire: value, at: .reply)
    } catch {
      throw .protocolViolation(error.message)
    }
  }

  /// The oldest event not yet taken; waits for one for at most `timeout` (nil: for ever), and is
  /// nil when none has come.
  package func nextEvent(timeout: Duration? = nil) throws(QMPClientError) -> QMPEvent? {
    let deadline = QMPClient.deadline(after: timeout)
    while events.isEmpty {
      do throws(QMPClientError) {
        let message = try QMPClient.next(&framer, from: socket, until: deadline)
        if case .event(let event) = message { events.append(event) }
      } catch .timedOut {
        return nil
      }
    }
    return events.removeFirst()
  }

  /// Ends the connection; so does letting the client go.
  package func close() { socket.close() }

  private static func next(
    _ framer: inout MessageFramer, from socket: ServerSocket,
    until deadline: ContinuousClock.Instant?
  ) throws(QMPClientError) -> QMPServerMessage {
    while true {
      switch framer.next() {
      case .message(let message):
        do throws(QMPError) {
          return try QMPServerMessage(message)
        } catch {
          throw .protocolViolation(error.message)
        }
      case .error(let error): throw .protocolViolation(error.message)
      case nil: framer.receive(try socket.receive(until: deadline))
      }
    }
  }

  private static func deadline(after timeout: Duration?) -> ContinuousClock.Instant? {
    timeout.map { .now + $0 }
  }
}
