import BlockRuntime
import JSONValue
import QMP
import Testing

@testable import BlockDaemon

@Suite("queries in line")
@ControlPlane
struct QueryLineTests {
  /// What happened, in its order.
  @ControlPlane private final class Log {
    var entries: [String] = []
  }

  private let log = Log()

  private func query(_ name: String) -> QueryLine.Query { .init(name: name, arguments: [:]) }

  /// A client that asks for `name`; while its answer is built something else comes up.
  private func ask(
    _ line: QueryLine, _ name: String, _ access: SessionAccess = .full
  ) -> Task<QueryLine.Answer, Never> {
    Task {
      await line.answer(query(name), for: access) {
        log.entries.append(name)
        ControlPlane.post { log.entries.append("other") }
        return .success(Array(name.utf8))
      }
    }
  }

  @Test("after each answer what has come up meanwhile gets its turn")
  func otherWork() async throws {
    let line = QueryLine()
    let clients = (0..<4).map { ask(line, "q\($0)") }
    for (index, client) in clients.enumerated() {
      #expect(await client.value == .success(Array("q\(index)".utf8)))
    }
    #expect(log.entries.prefix(7) == ["q0", "other", "q1", "other", "q2", "other", "q3"])
  }

  @Test("who asks the same gets the same answer, unless its building had begun")
  func shared() async {
    let line = QueryLine()
    let clients = (0..<10).map { _ in ask(line, "q") }
    for client in clients { #expect(await client.value == .success(Array("q".utf8))) }
    #expect(log.entries.count { $0 == "q" } == 2)
  }

  @Test("the sockets take turns, however many wait at one of them")
  func fairness() async {
    let line = QueryLine()
    let readers = (0..<5).map { ask(line, "r\($0)", .queries) }
    let owner = ask(line, "owner")
    for client in readers + [owner] { _ = await client.value }
    #expect(log.entries.filter { $0 != "other" } == ["r0", "owner", "r1", "r2", "r3", "r4"])
  }

  @Test("a client that is gone leaves the line")
  func gone() async {
    let line = QueryLine()
    let clients = ["first", "second", "dying", "last"].map { ask(line, $0) }
    clients[2].cancel()
    guard case .failure = await clients[2].value else { return #expect(Bool(false)) }
    _ = await clients[3].value
    #expect(log.entries.filter { $0 != "other" } == ["first", "second", "last"])
  }

  @Test("answers that never change are built once")
  func lasting() async {
    let line = QueryLine()
    for _ in 0..<3 { _ = await ask(line, QueryQMPSchema.name).value }
    #expect(log.entries.count { $0 == QueryQMPSchema.name } == 1)
  }

  @Test("of warnings that come too often the first is told, and then how many there were")
  func repeatedWarning() {
    let warning = RepeatedWarning(pace: .seconds(1000)) { text in log.entries.append(text) }
    for number in 0..<100 { warning.note("\(number)") }
    #expect(log.entries == ["0"])
    warning.flush()
    #expect(log.entries == ["0", "99 (and 98 like it before)"])
  }
}
