import BlockRuntime
import JSONValue
import QMP

/// Where queries wait for each other, whose answers grow with the graph, the jobs or the events.
///
/// Such an answer takes up to tens of milliseconds of the control plane, and hundreds of clients
/// may ask at once. So one is built at a time, and the next begins behind whatever else the control
/// plane has to do by then: a new client, or a command that takes no time, waits for one of them at
/// most, not for all that stand in line. Clients that ask the same get one answer: what is asked
/// before the building begins is answered by it, for it tells of a moment after the question. The
/// sockets take turns, so that the clients of the one, however many, do not hold up the other's.
///
/// Isolation: control plane.
@ControlPlane
final class QueryLine {
  /// The text of an answer up to where its `id` stands, which is shared, or why there is none.
  typealias Answer = Result<[UInt8], QMPError>

  /// What is asked.
  struct Query: Hashable {
    let name: String
    let arguments: JSONObject
  }

  /// One answer and those who wait for it. The first of them builds it.
  private final class Turn {
    let query: Query
    /// Each is told the answer, or nil when it is to build it.
    var clients: [(number: Int, continuation: CheckedContinuation<Answer?, Never>)] = []

    init(_ query: Query) { self.query = query }
  }

  /// The clients of one socket, in the order in which they came.
  private struct Line {
    var turns: [Turn] = []
    var byQuery: [Query: Turn] = [:]
  }

  private var lines: [SessionAccess: Line] = [:]
  private var current: Turn?
  private var lastServed = SessionAccess.queries
  private var lastNumber = 0
  /// Answers that never change for the clients of a socket.
  private var lasting: [SessionAccess: [Query: Answer]] = [:]

  /// The answer to `query`, built by `build` when its turn has come, unless another client asks the
  /// same. Where the task is cancelled before its turn the answer is an error.
  func answer(
    _ query: Query, for access: SessionAccess, _ build: () async -> Answer
  ) async -> Answer {
    if let answer = lasting[access]?[query] { return answer }
    if let answer = await wait(query, access) { return answer }
    let answer = await build()
    if case .success = answer, QueryLine.isLasting(query) {
      lasting[access, default: [:]][query] = answer
    }
    let others = current?.clients ?? []
    current?.clients = []
    for client in others { client.continuation.resume(returning: answer) }
    // Not before what has come meanwhile: also those who would ask now stand in line first.
    ControlPlane.post {
      self.current = nil
      self.goOn()
    }
    return answer
  }

  /// Begins the next turn.
  private func goOn() {
    let other: SessionAccess = lastServed == .full ? .queries : .full
    for access in [other, lastServed] {
      guard let turn = lines[access]?.turns.removeFirst() else { continue }
      lines[access]?.byQuery[turn.query] = nil
      if lines[access]?.turns.isEmpty == true { lines[access] = nil }
      begin(turn, access)
      turn.clients.removeFirst().continuation.resume(returning: nil)
      return
    }
  }

  private static func isLasting(_ query: Query) -> Bool {
    [QueryQMPSchema.name, QueryCommands.name].contains(query.name)
  }

  private func begin(_ turn: Turn, _ access: SessionAccess) {
    current = turn
    lastServed = access
  }

  /// Returns nil when the caller is to build the answer.
  private func wait(_ query: Query, _ access: SessionAccess) async -> Answer? {
    if current == nil {
      begin(Turn(query), access)
      return nil
    }
    lastNumber += 1
    let number = lastNumber
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let known = lines[access]?.byQuery[query]
        let turn = known ?? Turn(query)
        if known == nil {
          lines[access, default: Line()].turns.append(turn)
          lines[access]?.byQuery[query] = turn
        }
        turn.clients.append((number, continuation))
      }
    } onCancel: {
      ControlPlane.post { self.leave(number, query, access) }
    }
  }

  /// Takes a client that is gone out of the line, if it stands there.
  private func leave(_ number: Int, _ query: Query, _ access: SessionAccess) {
    guard let turn = lines[access]?.byQuery[query],
      let place = turn.clients.firstIndex(where: { $0.number == number })
    else { return }
    let client = turn.clients.remove(at: place)
    client.continuation.resume(returning: .failure(QMPError("The client is gone")))
    guard turn.clients.isEmpty else { return }
    lines[access]?.byQuery[query] = nil
    lines[access]?.turns.removeAll { $0 === turn }
    if lines[access]?.turns.isEmpty == true { lines[access] = nil }
  }
}

/// The lines in which queries wait: one for those that ask disks, so that a slow disk holds up no
/// other query, and one for those that do not.
///
/// Isolation: control plane.
@ControlPlane
final class QueryLines {
  private let asksDisks = QueryLine()
  private let asksNobody = QueryLine()

  /// Where `command` waits; nil for what is no query, and for the one whose answer is always short.
  func line(for command: String) -> QueryLine? {
    if command == QueryNamedBlockNodes.name { return asksDisks }
    return SessionAccess.isQuery(command) && command != QueryVersion.name ? asksNobody : nil
  }
}
