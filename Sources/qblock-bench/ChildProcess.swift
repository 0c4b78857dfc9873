import Glibc
import QMPClient

/// A program that runs to its end, and what it has used.
///
/// Isolation: the main thread.
struct ChildProcess {
  /// What a program and all processes that it has waited for have used. The daemon of
  /// `qblockctl --private` is such a process.
  ///
  /// Isolation: value.
  struct Usage {
    /// From just before its start until it has ended.
    let seconds: Double
    /// In user mode and in the kernel, all processes together.
    let cpuSeconds: Double
    /// What the programs have read and written, and how often they called the kernel.
    let io: TransferCount
    /// The largest resident set that one of the processes ever had. The kernel counts this
    /// program's own, some 15 MiB, as the first moment of a child.
    let peakBytes: Int
  }

  private let pid: pid_t
  private let words: [String]
  private let startTime: ContinuousClock.Instant
  private let earlier: TransferCount

  /// Runs `arguments`, of which the first names the program, until it ends. It reads the file
  /// `input`, where there is one; what it prints goes into the file `output`, or nowhere, but for
  /// its errors.
  @discardableResult
  static func run(
    _ arguments: [String], input: String = "/dev/null", output: String = "/dev/null"
  ) throws(Failure) -> Usage {
    try start(arguments, input: input, output: output).end()
  }

  /// Starts it, and does not wait.
  static func start(
    _ arguments: [String], input: String = "/dev/null", output: String = "/dev/null"
  ) throws(Failure) -> ChildProcess {
    guard let name = arguments.first, let path = PrivateDaemon.find(name) else {
      throw .sentence("There is no program '\(arguments.first ?? "")' here nor in PATH")
    }
    let earlier = TransferCount.ofThisProcess()
    let now = ContinuousClock().now
    return ChildProcess(
      pid: try spawn(path, arguments, input, output), words: arguments, startTime: now,
      earlier: earlier)
  }

  /// Asks it to end.
  func stop() { kill(pid, SIGTERM) }

  /// Waits until it has ended.
  func end() throws(Failure) -> Usage {
    let (status, usage) = try Self.wait(for: pid)
    let elapsed = startTime.duration(to: ContinuousClock().now)
    guard status == 0 else {
      throw .sentence("'\(words.joined(separator: " "))' has failed")
    }
    return Usage(
      seconds: elapsed / .seconds(1),
      cpuSeconds: Self.seconds(usage.ru_utime) + Self.seconds(usage.ru_stime),
      io: TransferCount.ofThisProcess() - earlier,
      peakBytes: usage.ru_maxrss * 1024)
  }

  private static func spawn(
    _ path: String, _ arguments: [String], _ input: String, _ output: String
  ) throws(Failure) -> pid_t {
    var files = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&files)
    defer { unsafe posix_spawn_file_actions_destroy(&files) }
    unsafe posix_spawn_file_actions_addopen(&files, STDIN_FILENO, input, O_RDONLY, 0)
    unsafe posix_spawn_file_actions_addopen(
      &files, STDOUT_FILENO, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    // What is held back here must reach the program.
    var none = sigset_t()
    unsafe sigemptyset(&none)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var words = unsafe arguments.map { unsafe strdup($0) } + [nil]
    defer { unsafe words.forEach { unsafe free($0) } }
    var process: pid_t = 0
    let error = unsafe posix_spawn(&process, path, &files, &attributes, &words, environ)
    guard error == 0 else {
      throw .sentence("Could not start \(path): \(unsafe String(cString: strerror(error)))")
    }
    return process
  }

  /// Passes a signal that asks to end on to `process`, and throws when it has ended.
  private static func wait(for process: pid_t) throws(Failure) -> (status: Int32, rusage) {
    var stop: Int32?
    while true {
      var status: Int32 = 0
      var usage = rusage()
      if unsafe wait4(process, &status, WNOHANG, &usage) == process {
        if let stop { throw .stopped(stop) }
        return (status, usage)
      }
      if let signal = StopSignals.wait() {
        stop = signal
        kill(process, SIGTERM)
      }
    }
  }

  private static func seconds(_ time: timeval) -> Double {
    Double(time.tv_sec) + Double(time.tv_usec) / 1e6
  }
}
