import CSpawn
import Foundation
import Glibc
import Synchronization

/// A program that a test runs.
///
/// It gets its three streams and no other descriptor, whatever other tests open at that moment: one
/// that held another's pipe or socket would let it wait for an end that does not come. It does not
/// outlive this object, so that a test that fails leaves nothing behind.
///
/// Isolation: any thread; what it writes is for one reader.
package final class ChildProcess: Sendable {
  /// Where one of its streams leads.
  package enum Stream: Sendable {
    /// To `/dev/null`.
    case null
    /// To us.
    case pipe
    /// Where our own leads.
    case inherited
    /// Standard error only: where standard output leads.
    case output
  }

  /// How it ended.
  package enum Ending: Equatable, Sendable {
    /// By itself, with this status.
    case exit(Int32)
    /// By this signal.
    case signal(Int32)

    /// The exit status; for a signal 128 and its number, as a shell has it.
    package var status: Int32 {
      switch self {
      case .exit(let status): status
      case .signal(let number): 128 + number
      }
    }
  }

  /// Why it could not be started.
  package struct StartFailure: Error, CustomStringConvertible {
    /// Its words.
    package let command: [String]
    /// The system's reason.
    package let errno: Int32

    package var description: String { "\(command): \(String(cString: strerror(errno)))" }
  }

  /// The process, which may be gone.
  package let pid: Int32
  private let input: Mutex<Int32?>
  private let output: Int32?
  private let errors: Int32?
  private let ending = Mutex<Ending?>(nil)

  /// Starts the program that `command` names first, looked for in `$PATH`, with `variables` besides
  /// ours and in `directory` instead of our own.
  package init(
    _ command: [String], input: Stream = .null, output: Stream = .pipe, errors: Stream = .output,
    variables: [String: String] = [:], directory: String? = nil
  ) throws(StartFailure) {
    var ends = StreamEnds()
    let reads = ends.make(input, STDIN_FILENO)
    let writes = ends.make(output, STDOUT_FILENO)
    let complains = errors == .output ? writes : ends.make(errors, STDERR_FILENO)
    var environment = ProcessInfo.processInfo.environment
    environment.merge(variables) { $1 }
    let words = command.map { strdup($0) } + [nil]
    let settings = environment.map { strdup("\($0)=\($1)") } + [nil]
    pid = cs_spawn(words, settings, directory, [reads, writes, complains])
    let error = errno
    (words + settings).forEach { free($0) }
    ends.theirs.forEach { close($0) }
    self.input = Mutex(ends.ours[STDIN_FILENO])
    self.output = ends.ours[STDOUT_FILENO]
    self.errors = ends.ours[STDERR_FILENO]
    // All is set, so that the object goes its usual way: it closes our ends.
    guard pid > 0 else { throw StartFailure(command: command, errno: error) }
  }

  deinit {
    if pid > 0 {
      signal(SIGKILL)
      wait()
    }
    closeInput()
    for descriptor in [output, errors] { if let descriptor { close(descriptor) } }
  }

  /// Writes to its standard input. What a program that is gone cannot read is dropped.
  package func write(_ text: String) {
    input.withLock { input in
      guard let input else { return }
      var rest = Array(text.utf8)[...]
      while !rest.isEmpty {
        let written = rest.withUnsafeBytes {
          send(input, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard written > 0 else { return }
        rest = rest.dropFirst(written)
      }
    }
  }

  /// Ends its standard input.
  package func closeInput() {
    input.withLock { input in
      if let descriptor = input { close(descriptor) }
      input = nil
    }
  }

  /// What has come on its standard output, at least a byte; nothing at the end.
  package func read() -> [UInt8] { output.map(ChildProcess.read) ?? [] }

  /// All that comes on its standard output until the end.
  package func readToEnd() -> [UInt8] { output.map(ChildProcess.readToEnd) ?? [] }

  /// All that comes on its standard error until the end.
  package func readErrorsToEnd() -> [UInt8] { errors.map(ChildProcess.readToEnd) ?? [] }

  /// Whether something has come on its standard output, or its end.
  package var hasOutput: Bool {
    var polled = pollfd(fd: output ?? -1, events: Int16(POLLIN), revents: 0)
    return poll(&polled, 1, 0) == 1
  }

  /// Sends it a signal, unless its end is known.
  package func signal(_ number: Int32) {
    ending.withLock { ending in
      if ending == nil { kill(pid, number) }
    }
  }

  /// Whether it still runs.
  package var isRunning: Bool {
    ending.withLock { ending in
      if ending == nil { ending = reap(WNOHANG) }
      return ending == nil
    }
  }

  /// Waits until it ends.
  @discardableResult
  package func wait() -> Ending {
    // Waits outside the lock, and leaves it a zombie, whose number nobody else can get.
    var info = siginfo_t()
    while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) == -1, errno == EINTR {}
    return ending.withLock { ending in
      let known = ending ?? reap(0) ?? .exit(-1)
      ending = known
      return known
    }
  }

  private func reap(_ options: Int32) -> Ending? {
    var status: Int32 = 0
    while true {
      switch waitpid(pid, &status, options) {
      case pid: return status & 0x7F == 0 ? .exit(status >> 8 & 0xFF) : .signal(status & 0x7F)
      case -1 where errno == EINTR: continue
      default: return nil
      }
    }
  }

  private static func read(_ descriptor: Int32) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    var count: Int
    repeat {
      count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
    } while count == -1 && errno == EINTR
    bytes.removeLast(bytes.count - max(count, 0))
    return bytes
  }

  private static func readToEnd(_ descriptor: Int32) -> [UInt8] {
    var all: [UInt8] = []
    while case let more = read(descriptor), !more.isEmpty { all += more }
    return all
  }
}

/// The ends of the streams between us and a process.
private struct StreamEnds {
  /// By a stream's number, the end that we keep.
  var ours: [Int32: Int32] = [:]
  /// The ends that the process gets copies of; we close them then.
  var theirs: [Int32] = []

  /// Makes the ends of a stream, and returns what the process gets, -1 for `/dev/null`. A pipe is
  /// two sockets: who writes to one whose reader is gone is told so, and need not end.
  mutating func make(_ stream: ChildProcess.Stream, _ number: Int32) -> Int32 {
    guard stream == .pipe else { return stream == .inherited ? number : -1 }
    var pair: [Int32] = [-1, -1]
    socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &pair)
    ours[number] = pair[0]
    theirs.append(pair[1])
    return pair[1]
  }
}
