import BlockRuntime
import Glibc
import JSONValue
import QMP
import QMPClient
import SocketIO
import TestSupport
import Testing

@Suite struct QMPClientTests {
  @Test("events that come before an answer wait, in order, for who asks")
  func events() async throws {
    let server = try await ScriptedServer { request in
      .text(event("A") + event("B") + request.returning(["n": 1]) + event("C"))
    }
    try await onThread {
      let client = try QMPClient(connectingTo: server.path)
      #expect(try client.execute("x") == ["n": 1])
      #expect(try (0..<3).map { _ in try client.nextEvent()?.name } == ["A", "B", "C"])
      #expect(try client.nextEvent(timeout: .zero) == nil)
    }
    await server.close()
  }

  @Test("arguments reach the server, and a typed command gives its reply")
  func arguments() async throws {
    let server = try await ScriptedServer { request in
      .text(request.returning(request.execute == "echo" ? .object(request.arguments) : []))
    }
    try await onThread {
      let client = try QMPClient(connectingTo: server.path)
      let large = JSONObject(members: [("text", .string(String(repeating: "x", count: 900_000)))])
      #expect(try client.execute("echo", large) == .object(large))
      #expect(try client.execute(QueryJobs()).isEmpty)
    }
    await server.close()
  }

  @Test("a refused command throws the server's error, and the connection goes on")
  func refused() async throws {
    let server = try await ScriptedServer { request in
      let error = QMPError(.deviceNotFound, "Device 'x' not found")
      return .text(QMPResponse(.failure(error), id: request.id).message.description)
    }
    try await onThread {
      let client = try QMPClient(connectingTo: server.path)
      for _ in 0..<2 {
        let error = #expect(throws: QMPClientError.self) { try client.execute("x") }
        #expect(error == .refused(QMPError(.deviceNotFound, "Device 'x' not found")))
      }
    }
    await server.close()
  }

  @Test("no socket, and one that nobody listens on, both mean that there is no daemon")
  @ControlPlane func noDaemon() throws {
    let directory = try TemporaryDirectory()
    let none = directory.file("none")
    #expect(throws: QMPClientError.noDaemon(path: none)) { try QMPClient(connectingTo: none) }
    // A hard link keeps the name of a socket whose listener is gone.
    let socket = directory.file("socket")
    let stale = directory.file("stale")
    let listener = try UnixListener(binding: SocketAddress(path: socket), mode: 0o600)
    #expect(link(socket, stale) == 0)
    listener.close()
    #expect(throws: QMPClientError.noDaemon(path: stale)) { try QMPClient(connectingTo: stale) }
    let long = "/" + String(repeating: "x", count: 200)
    #expect(throws: QMPClientError.cannotConnect(path: long, errno: ENAMETOOLONG)) {
      try QMPClient(connectingTo: long)
    }
  }

  @Test("a server that hangs up instead of answering is reported at once, and ever after")
  func hangUp() async throws {
    let server = try await ScriptedServer { _ in .hangUp }
    try await onThread {
      let client = try QMPClient(connectingTo: server.path)
      #expect(throws: QMPClientError.connectionLost(errno: nil)) { try client.execute("x") }
      #expect(throws: QMPClientError.self) { try client.nextEvent() }
      client.close()
      #expect(throws: QMPClientError.connectionLost(errno: nil)) { try client.execute("x") }
    }
    await server.close()
  }

  @Test("what is not QMP is refused", arguments: ["hello\n", "{\"a\": 1}", "[1]", "{\"QMP\": 1}"])
  func notQMP(greeting: String) async throws {
    let server = try await ScriptedServer(greeting: greeting, nil)
    try await onThread {
      let error = #expect(throws: QMPClientError.self) {
        try QMPClient(connectingTo: server.path)
      }
      guard case .protocolViolation = error else {
        Issue.record("\(String(describing: error))")
        return
      }
    }
    await server.close()
  }

  @Test("after a timeout the client goes on, and the late answer goes to nobody")
  func timeout() async throws {
    let server = try await ScriptedServer { request in
      guard request.execute == "next", case .integer(let id)? = request.id else {
        return .text("")
      }
      let late = QMPResponse(.success("late"), id: .integer(id - 1)).message.description
      return .text(late + request.returning("own"))
    }
    try await onThread {
      let client = try QMPClient(connectingTo: server.path)
      #expect(throws: QMPClientError.timedOut) {
        try client.execute("slow", timeout: .milliseconds(1))
      }
      #expect(try client.execute("next") == "own")
    }
    await server.close()
  }

  @Test("a signal ends the wait, not the process, and the client goes on")
  func interrupted() async throws {
    let server = try await ScriptedServer { request in
      guard request.execute == "hang" else { return .text(request.returning("on")) }
      kill(getpid(), SIGURG)
      return .text("")
    }
    try await onThread {
      let client = try QMPClient(connectingTo: server.path, interruptedBy: [SIGURG])
      #expect(throws: QMPClientError.interrupted) { try client.execute("hang") }
      #expect(try client.execute("go") == "on")
    }
    await server.close()
  }
}

private func event(_ name: String) -> String {
  let timestamp: JSONValue = ["seconds": 1, "microseconds": 2]
  let message: JSONValue = ["event": .string(name), "timestamp": timestamp]
  return message.description
}
