import BlockCore
import Glibc
import SocketIO
import TestSupport
import Testing

@Suite struct SystemdTests {
  @Test(
    "descriptors are ours only when LISTEN_PID is our process",
    arguments: [
      ([:], 0),
      (["LISTEN_FDS": "2"], 0),
      (["LISTEN_PID": "41", "LISTEN_FDS": "2"], 0),
      (["LISTEN_PID": "42"], 0),
      (["LISTEN_PID": "42", "LISTEN_FDS": "0"], 0),
      (["LISTEN_PID": "42", "LISTEN_FDS": "1"], 1),
      (["LISTEN_PID": "42", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"], 2),
    ] as [([String: String], Int)])
  func promised(environment: [String: String], count: Int) throws {
    let descriptors = try SystemdActivation.promised(by: { environment[$0] }, to: 42)
    #expect(Array(descriptors) == (0..<count).map { Int32($0) + 3 })
  }

  @Test(
    "numbers that cannot be are refused",
    arguments: [
      ["LISTEN_PID": ""], ["LISTEN_PID": "x"], ["LISTEN_PID": "0"], ["LISTEN_PID": "-1"],
      ["LISTEN_PID": "42", "LISTEN_FDS": "-1"],
      ["LISTEN_PID": "42", "LISTEN_FDS": "2147483647"], ["LISTEN_PID": "42", "LISTEN_FDS": " 1"],
      ["LISTEN_PID": "42", "LISTEN_FDS": "99999999999999999999"],
    ])
  func refused(environment: [String: String]) {
    let error = #expect(throws: BlockError.self) {
      try SystemdActivation.promised(by: { environment[$0] }, to: 42)
    }
    #expect(error?.code == .invalidArgument)
  }

  @Test("a listening socket is taken over, closed on exec, and the variables are gone")
  func taken() async {
    await #expect(processExitsWith: .success) {
      let directory = try TemporaryDirectory()
      let given = unixSocket()
      precondition(withUnixAddress(directory.file("s")) { bind(given, $0, $1) } == 0)
      precondition(listen(given, 1) == 0)
      precondition(dup2(given, SystemdActivation.firstDescriptor) == 3)
      setenv("LISTEN_PID", "\(getpid())", 1)
      setenv("LISTEN_FDS", "1", 1)
      setenv("LISTEN_FDNAMES", "qmp", 1)
      let descriptors = try SystemdActivation.take()
      precondition(descriptors == [3])
      precondition(fcntl(3, F_GETFD) == FD_CLOEXEC)
      for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
        precondition(getenv(name) == nil)
      }
      let again = try SystemdActivation.take()
      precondition(again.isEmpty)
    }
  }

  @Test("a descriptor that is no listening stream socket is refused by its number")
  func notListening() async {
    await #expect(processExitsWith: .success) {
      let pair = PeerSocket.pair()
      precondition(dup2(pair.near, SystemdActivation.firstDescriptor) == 3)
      setenv("LISTEN_PID", "\(getpid())", 1)
      setenv("LISTEN_FDS", "1", 1)
      do throws(BlockError) {
        _ = try SystemdActivation.take()
        preconditionFailure("taken")
      } catch {
        precondition(error.code == .invalidArgument && error.message.contains("Descriptor 3"))
      }
      precondition(getenv("LISTEN_FDS") == nil)
    }
  }

  @Test("the manager is told, at a path or an abstract name, one line per variable")
  func notify() throws {
    let directory = try TemporaryDirectory()
    for address in [directory.file("notify"), "@qblockd-test-\(getpid())"] {
      let manager = unixSocket(SOCK_DGRAM)
      defer { close(manager) }
      #expect(withUnixAddress(address) { bind(manager, $0, $1) } == 0)
      let notifier = SystemdNotifier(address: address)
      #expect(notifier.ready(status: "3 jobs\nREADY=0"))
      #expect(notifier.status("4 jobs"))
      #expect(notifier.alive())
      #expect(notifier.extendTimeout(microseconds: 5_000_000))
      #expect(notifier.stopping(status: "flushing"))
      let messages = (0..<5).map { _ in
        String(decoding: PeerSocket(dup(manager)).read(), as: UTF8.self)
      }
      #expect(
        messages == [
          "READY=1\nSTATUS=3 jobs READY=0", "STATUS=4 jobs", "WATCHDOG=1",
          "EXTEND_TIMEOUT_USEC=5000000", "STOPPING=1\nSTATUS=flushing",
        ])
    }
  }

  @Test("the watchdog's time is ours when WATCHDOG_PID is our process, or is not there")
  func watchdog() throws {
    let cases: [([String: String], Duration?)] = [
      ([:], nil), (["WATCHDOG_PID": "42"], nil),
      (["WATCHDOG_USEC": "30000000"], .seconds(30)),
      (["WATCHDOG_USEC": "1", "WATCHDOG_PID": "42"], .microseconds(1)),
      (["WATCHDOG_USEC": "1", "WATCHDOG_PID": "41"], nil),
      (["WATCHDOG_USEC": "1", "WATCHDOG_PID": "x"], nil),
    ]
    for (environment, time) in cases {
      #expect(try SystemdNotifier.watchdog(in: { environment[$0] }, for: 42) == time)
    }
    for text in ["", "x", "0", "-1", "99999999999999999999"] {
      let error = #expect(throws: BlockError.self) {
        try SystemdNotifier.watchdog(in: { $0 == "WATCHDOG_USEC" ? text : nil }, for: 42)
      }
      #expect(error?.code == .invalidArgument)
    }
  }

  @Test("a manager that does not read is not waited for")
  func deafManager() throws {
    let directory = try TemporaryDirectory()
    let manager = unixSocket(SOCK_DGRAM)
    defer { close(manager) }
    let address = directory.file("notify")
    #expect(withUnixAddress(address) { bind(manager, $0, $1) } == 0)
    let notifier = SystemdNotifier(address: address)
    while notifier.alive() {}
    #expect(!notifier.ready(status: "") && !notifier.stopping(status: ""))
    _ = PeerSocket(dup(manager)).read()
    #expect(notifier.stopping(status: ""))
  }

  @Test("without a manager nothing is said")
  func noManager() {
    for address in [nil, "", "relative", "/nonexistent/notify"] as [String?] {
      #expect(!SystemdNotifier(address: address).ready(status: ""))
    }
  }
}
