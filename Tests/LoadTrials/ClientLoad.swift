import Foundation
import QMP
import QMPClient
import TestSupport

/// Many clients at one daemon: most say nothing, do not read, or say a request byte by byte; the
/// others ask for the jobs, each anew as soon as it is answered.
///
/// Isolation: one thread.
package struct ClientLoad {
  /// How many clients there are, and how many of them ask.
  package var clients = 1000
  package var askers = 100
  /// For how long.
  package var seconds = 10.0
  /// The longest that 99 of 100 answers may take, in milliseconds.
  package var limit = 50.0

  package init() {}

  private static let question = #"{"execute": "query-jobs"}"#

  /// Runs it against a daemon of its own.
  package func run() throws -> LoadFigures {
    var figures = LoadFigures()
    let daemon = try DaemonProcess.start(launcher: ["prlimit", "--nofile=16384"])
    let client = try daemon.client()
    let jobs = try JobPile(daemon, count: 16)
    try jobs.start()
    let before = try DaemonUsage(of: daemon.pid)
    try load(daemon, &figures)
    // All of them are gone now; their descriptors, when the daemon has seen it.
    let deadline = Date(timeIntervalSinceNow: 20)
    var after = try DaemonUsage(of: daemon.pid)
    while after.descriptors > before.descriptors, Date() < deadline {
      _ = try client.execute(QueryJobs())
      after = try DaemonUsage(of: daemon.pid)
    }
    figures.lines.append("before: \(before)")
    figures.lines.append("after:  \(after)")
    figures.expect(after.descriptors <= before.descriptors, "descriptors are left over")
    try jobs.cancel()
    figures.expect(daemon.stop() == 0, "the daemon did not end well: \(daemon.output)")
    return figures
  }

  private func load(_ daemon: DaemonProcess, _ figures: inout LoadFigures) throws {
    let others = clients - askers
    let quiet = try (0..<others / 2).map { _ in try BareClient(daemon.socket) }
    let deaf = try (0..<others / 4).map { _ in try BareClient(daemon.socket) }
    // More than the system's buffers hold, and together more than the daemon keeps.
    for client in deaf {
      for _ in 0..<20 { try client.send(#"{"execute": "query-qmp-schema"}"#) }
    }
    var slow = try (quiet.count + deaf.count..<others).map { _ in
      SlowSpeaker(try BareClient(daemon.socket))
    }
    let asking = try (0..<askers).map { _ in try BareClient(daemon.socket) }
    for client in asking { try client.receive(lines: 2) }
    let during = try DaemonUsage(of: daemon.pid)
    var times = try ask(asking, &slow)
    times.sort()
    figures.lines.append(
      "\(clients) clients, \(askers) of them ask: \(times.count) answers in \(seconds) s; \(during)"
    )
    figures.lines.append("p50: \((times.quantile(0.5) * 1000).rounded() / 1000) ms")
    figures.note("p99", times.quantile(0.99), "ms", atMost: limit)
    figures.lines.append("slowest: \(times.last ?? 0) ms")
    withExtendedLifetime((quiet, deaf)) {}
  }

  /// A client that says its request byte by byte, again and again.
  private struct SlowSpeaker {
    let client: BareClient
    private var rest = Substring(ClientLoad.question)

    init(_ client: BareClient) { self.client = client }

    mutating func sayNext() throws {
      try client.send(rest.prefix(1))
      rest = rest.dropFirst()
      if rest.isEmpty {
        rest = Substring(ClientLoad.question)
        try client.receive()
      }
    }
  }

  /// Lets `clients` ask, and `slow` speak, and returns how long each answer took, in milliseconds.
  private func ask(_ clients: [BareClient], _ slow: inout [SlowSpeaker]) throws -> [Double] {
    let clock = ContinuousClock()
    let end = clock.now + .seconds(seconds)
    var asked = clients.map { _ in clock.now }
    var expected = clients.map { $0.lines + 1 }
    var times: [Double] = []
    for client in clients { try client.send(ClientLoad.question) }
    var polled = clients.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
    var speaker = 0
    while clock.now < end {
      guard poll(&polled, nfds_t(polled.count), 20_000) > 0 else { throw POSIXError(.ETIMEDOUT) }
      for index in polled.indices where polled[index].revents != 0 {
        try clients[index].receive()
        guard clients[index].lines >= expected[index] else { continue }
        times.append((clock.now - asked[index]) / .milliseconds(1))
        expected[index] = clients[index].lines + 1
        asked[index] = clock.now
        try clients[index].send(ClientLoad.question)
      }
      guard !slow.isEmpty else { continue }
      speaker = (speaker + 1) % slow.count
      try slow[speaker].sayNext()
    }
    return times
  }
}
