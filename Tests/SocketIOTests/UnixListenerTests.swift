import BlockCore
import BlockRuntime
import Glibc
import TestSupport
import Testing

@testable import SocketIO

@Suite struct UnixListenerTests {
  private let directory: TemporaryDirectory
  private var path: String { directory.file("qmp.sock") }

  init() throws { directory = try TemporaryDirectory() }

  @Test("the socket has the mode asked for, and clients reach it")
  @ControlPlane func serves() async throws {
    let listener = try UnixListener(binding: SocketAddress(path: path), mode: 0o660)
    var status = stat()
    #expect(lstat(path, &status) == 0)
    #expect(status.st_mode == S_IFSOCK | 0o660)
    var connections: [Connection] = []
    let accepted = await withCheckedContinuation { continuation in
      listener.start { connection in
        connections.append(connection)
        if connections.count == 100 { continuation.resume(returning: connections.count) }
      }
      let path = path
      for _ in 0..<100 { #expect(PeerSocket(connectingTo: path) != nil) }
    }
    #expect(accepted == 100)
    for connection in connections { connection.close() }
    listener.close()
    #expect(lstat(path, &status) != 0)
  }

  @Test("a group that the process may give the socket to becomes its group")
  @ControlPlane func group() throws {
    let listener = try UnixListener(
      binding: SocketAddress(path: path), mode: 0o600, group: getegid())
    defer { listener.close() }
    var status = stat()
    #expect(lstat(path, &status) == 0)
    #expect(status.st_gid == getegid())
  }

  @Test("a socket that nobody listens on any more is replaced")
  @ControlPlane func stale() throws {
    let address = try SocketAddress(path: path)
    let dead = unixSocket()
    #expect(withUnixAddress(path) { bind(dead, $0, $1) } == 0)
    close(dead)
    #expect(PeerSocket(connectingTo: path) == nil)
    let listener = try UnixListener(binding: address, mode: 0o600)
    #expect(PeerSocket(connectingTo: path) != nil)
    listener.close()
  }

  @Test("a live daemon's socket is refused, saying which process has it, and stays usable")
  @ControlPlane func live() throws {
    let address = try SocketAddress(path: path)
    let listener = try UnixListener(binding: address, mode: 0o600)
    let error = #expect(throws: BlockError.self) {
      _ = try UnixListener(binding: address, mode: 0o600)
    }
    #expect(error?.code == .locked)
    #expect(error?.message.contains("process \(getpid()) (") == true)
    #expect(PeerSocket(connectingTo: path) != nil)
    listener.close()
  }

  // The listener's own step, since listeners themselves all live on one thread.
  @Test("of many that start at once exactly one gets the socket, stale file or not")
  func race() async throws {
    let path = path
    let dead = unixSocket()
    #expect(withUnixAddress(path) { bind(dead, $0, $1) } == 0)
    close(dead)
    let winners = await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 {
        group.addTask {
          await onThread {
            let descriptor = unixSocket()
            let address = try? SocketAddress(path: path)
            return (try? address?.listen(on: descriptor, mode: 0o600, group: nil, backlog: 8))
              != nil
          }
        }
      }
      return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
    }
    #expect(winners == 1)
    #expect(PeerSocket(connectingTo: path) != nil)
  }

  @Test("something that is not a socket is neither replaced nor touched")
  @ControlPlane func otherFile() throws {
    try directory.write([1, 2, 3], to: "qmp.sock")
    let error = #expect(throws: BlockError.self) {
      _ = try UnixListener(binding: SocketAddress(path: path), mode: 0o600)
    }
    #expect(error?.code == .invalidArgument)
    #expect(try directory.read("qmp.sock") == [1, 2, 3])
  }

  @Test("a path that no socket can have is refused before anything happens")
  func impossiblePaths() {
    let long = "/" + String(repeating: "x", count: SocketAddress.longestPath)
    for path in ["", "/tmp/a\0b", long] {
      let error = #expect(throws: BlockError.self) { _ = try SocketAddress(path: path) }
      #expect(error?.code == .invalidArgument)
    }
    #expect(throws: Never.self) { try SocketAddress(path: String(long.dropLast())) }
  }

  @Test("a missing directory is named")
  @ControlPlane func noDirectory() throws {
    let error = #expect(throws: BlockError.self) {
      _ = try UnixListener(
        binding: SocketAddress(path: directory.file("none/qmp.sock")), mode: 0o600)
    }
    #expect(error?.code == .notFound)
    #expect(error?.file == directory.file("none"))
  }

  @Test("closing leaves a file that somebody else has put in the socket's place")
  @ControlPlane func replaced() throws {
    let listener = try UnixListener(binding: SocketAddress(path: path), mode: 0o600)
    #expect(unlink(path) == 0)
    try directory.write([9], to: "qmp.sock")
    listener.close()
    #expect(try directory.read("qmp.sock") == [9])
  }

  @Test("without a free descriptor a client is turned away, and later ones are served again")
  func exhausted() async {
    await #expect(processExitsWith: .success) { @ControlPlane in
      let directory = try TemporaryDirectory()
      let path = directory.file("s")
      let listener = try UnixListener(binding: SocketAddress(path: path), mode: 0o600)
      var limit = rlimit(rlim_cur: 64, rlim_max: 64)
      precondition(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
      var accepted = 0
      var whenAccepted: (() -> Void)?
      listener.start {
        accepted += 1
        $0.close()
        whenAccepted?()
      }
      // Dispatch opens its own descriptors the first time that it polls and times.
      var timer: ControlTimer?
      await withCheckedContinuation { continuation in
        timer = ControlTimer(after: .zero) { continuation.resume() }
      }
      withExtendedLifetime(timer) {}
      let early = unixSocket()
      var fillers: [Int32] = []
      while true {
        let filler = open("/dev/null", O_RDONLY)
        guard filler >= 0 else { break }
        fillers.append(filler)
      }
      precondition(withUnixAddress(path) { connect(early, $0, $1) } == 0)
      let refused = PeerSocket(early)
      let answer = await onThread { refused.read() }
      precondition(answer.isEmpty && accepted == 0)
      for filler in fillers { close(filler) }
      await withCheckedContinuation { continuation in
        whenAccepted = {
          whenAccepted = nil
          continuation.resume()
        }
        precondition(PeerSocket(connectingTo: path) != nil)
      }
      precondition(accepted == 1)
      listener.close()
    }
  }

  @Test("a listening socket from elsewhere is served, and its file stays when it closes")
  @ControlPlane func adopted() async {
    let given = unixSocket()
    #expect(withUnixAddress(path) { bind(given, $0, $1) } == 0)
    #expect(listen(given, 8) == 0)
    let listener = UnixListener(adopting: given)
    let path = path
    await withCheckedContinuation { continuation in
      listener.start {
        $0.close()
        continuation.resume()
      }
      #expect(PeerSocket(connectingTo: path) != nil)
    }
    listener.close()
    var status = stat()
    #expect(lstat(path, &status) == 0)
  }
}
