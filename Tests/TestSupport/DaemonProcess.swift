import Foundation
package import QMPClient
import Synchronization

/// A qblockd of one test's own, on a socket of its own. It is stopped when the test lets go of it.
///
/// Isolation: one test.
package final class DaemonProcess {
  /// Why there is none: what the program wrote before it ended.
  package struct StartFailure: Error, CustomStringConvertible {
    /// Its exit status.
    package let status: Int32
    /// What it wrote to standard output and standard error.
    package let output: String

    package var description: String { "qblockd ended with status \(status): \(output)" }
  }

  /// Where it listens.
  package let socket: String
  private let directory: TemporaryDirectory
  private let process: ChildProcess
  private let log: ProcessLog

  /// Starts the daemon with these arguments, after `--socket`, and returns when it serves.
  ///
  /// `socket` is a path in its own directory unless given. `launcher` are the words of a command
  /// that sets something up and then becomes the daemon: `prlimit`, or `env` with variables. Throws
  /// `StartFailure` when the daemon ends instead.
  package static func start(
    arguments: [String] = [], socket: String? = nil, launcher: [String] = []
  ) throws -> DaemonProcess {
    let directory = try TemporaryDirectory()
    let socket = socket ?? directory.file("qmp.sock")
    let command = launcher + [program("qblockd"), "--socket", socket] + arguments
    let daemon = DaemonProcess(directory, socket, try ChildProcess(command))
    guard daemon.log.waitFor("Serving QMP on") else {
      throw StartFailure(status: daemon.waitForExit(), output: daemon.output)
    }
    return daemon
  }

  private init(_ directory: TemporaryDirectory, _ socket: String, _ process: ChildProcess) {
    self.directory = directory
    self.socket = socket
    self.process = process
    log = ProcessLog(process)
  }

  /// The built program `name`: in `$QBLOCKD_BIN`, else beside the program of the tests.
  package static func program(_ name: String) -> String {
    if let directory = ProcessInfo.processInfo.environment["QBLOCKD_BIN"] {
      return "\(directory)/\(name)"
    }
    return Bundle.main.bundleURL.appendingPathComponent(name).path
  }

  /// A new connection to it, with capabilities negotiated.
  package func client() throws -> QMPClient { try QMPClient(connectingTo: socket) }

  /// The process.
  package var pid: Int32 { process.pid }

  /// What it has logged so far.
  package var output: String { log.text }

  /// Sends SIGTERM and returns the exit status; for one that is gone already, just the status.
  @discardableResult
  package func stop() -> Int32 {
    process.signal(SIGTERM)
    return waitForExit()
  }

  /// Ends it as a crash would, and returns when it is gone.
  package func kill() {
    process.signal(SIGKILL)
    process.wait()
  }

  /// Waits until it ends by itself and all that it wrote is in `output`; returns its exit status.
  package func waitForExit() -> Int32 {
    let status = process.wait().status
    log.waitForEnd()
    return status
  }

  deinit { stop() }
}

/// What a process writes, read as it comes, so that the process never waits for its reader. A
/// thread of its own reads: tests that wait may hold every thread that the system's queues have.
///
/// Isolation: any thread; state behind `state`.
private final class ProcessLog: Sendable {
  private struct State {
    var bytes: [UInt8] = []
    var isAtEnd = false
  }

  private let state = Mutex(State())
  private let arrivals = DispatchSemaphore(value: 0)

  init(_ process: ChildProcess) {
    Thread.detachNewThread { [self] in
      while case let more = process.read(), !more.isEmpty {
        state.withLock { $0.bytes += more }
        arrivals.signal()
      }
      state.withLock { $0.isAtEnd = true }
      arrivals.signal()
    }
  }

  var text: String { state.withLock { String(decoding: $0.bytes, as: UTF8.self) } }

  /// Waits until nothing more can come.
  func waitForEnd() {
    while !state.withLock(\.isAtEnd) { arrivals.wait() }
    // For the next who waits.
    arrivals.signal()
  }

  /// Waits until `mark` has been written; false when the process ends without it.
  func waitFor(_ mark: String) -> Bool {
    while true {
      let (text, isAtEnd) = state.withLock {
        (String(decoding: $0.bytes, as: UTF8.self), $0.isAtEnd)
      }
      if text.contains(mark) { return true }
      if isAtEnd { return false }
      arrivals.wait()
    }
  }
}
