import CLinux
import Glibc

/// A daemon of one client's own, that nobody else can reach. When the client is gone, however that
/// happened, it finishes the jobs that it has and ends.
///
/// Isolation: the thread that started it.
package final class PrivateDaemon {
  /// Why there is none.
  package enum Failure: Error, Hashable, Sendable {
    /// There is no program where one was looked for.
    case noProgram
    /// The system refused what is said in `doing`.
    case system(doing: String, errno: Int32)
    /// The daemon is there, but the connection to it failed.
    case client(QMPClientError)
  }

  /// The connection to it.
  package let client: QMPClient
  private let processID: Int32
  private let signals: [Int32]

  /// Starts `program` and connects to it. `signals` end the client's waits.
  ///
  /// The socket listens before the program runs, and the client is connected: nothing has to be
  /// tried again, and whenever the client dies, the daemon finds that it had one. The socket leaves
  /// the file system as soon as the client has heard from the daemon.
  package init(program: String, interruptedBy signals: [Int32] = []) throws(Failure) {
    self.signals = signals
    let directory = try Self.makeDirectory()
    defer { unsafe rmdir(directory) }
    let path = "\(directory)/qmp.sock"
    let listener = cl_unix_socket(0)
    guard listener >= 0 else { throw .system(doing: "make a socket", errno: errno) }
    defer { unsafe unlink(path) }
    let connection: ServerSocket
    do {
      // From then on only the daemon holds the listener: if it ends, so does the connection.
      defer { close(listener) }
      guard unsafe cl_unix_bind(listener, path, path.utf8.count) == 0, listen(listener, 1) == 0
      else { throw .system(doing: "listen on \(path)", errno: errno) }
      connection = try Self.connect(path, signals)
      processID = try Self.start(program, listener)
    }
    do throws(QMPClientError) {
      client = try QMPClient(over: connection, timeout: .seconds(10))
    } catch {
      kill(processID, SIGTERM)
      Self.wait(for: processID)
      throw .client(error)
    }
  }

  /// Tells the daemon to end, and returns when it has: its jobs are cancelled, its images closed.
  /// From now on the client's signals have their usual effect.
  package func quit() {
    _ = try? client.execute("quit")
    client.close()
    for signal in signals { _ = cl_signal_default(signal) }
    Self.wait(for: processID)
  }

  /// The program `name` beside the one that is running, else the first in PATH; nil without one.
  package static func find(_ name: String) -> String? {
    var places: [String] = []
    let own = unsafe [CChar](unsafeUninitializedCapacity: Int(PATH_MAX)) { buffer, count in
      guard let start = buffer.baseAddress else { return }
      count = max(0, unsafe readlink("/proc/self/exe", start, buffer.count))
    }
    let path = String(decoding: own.map(UInt8.init(bitPattern:)), as: UTF8.self)
    if let slash = path.lastIndex(of: "/") { places.append(String(path[..<slash])) }
    let search = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "/usr/bin:/bin"
    places += search.split(separator: ":").map(String.init)
    return places.map { "\($0)/\(name)" }.first { unsafe access($0, X_OK) == 0 }
  }

  private static func makeDirectory() throws(Failure) -> String {
    let runtime = unsafe getenv("XDG_RUNTIME_DIR").map { unsafe String(cString: $0) } ?? ""
    // A socket's address holds 107 bytes; a longer place is of no use.
    let parents = (runtime.isEmpty || runtime.utf8.count > 70 ? [] : [runtime]) + ["/tmp"]
    var failure: Int32 = 0
    for parent in parents {
      var template = Array("\(parent)/qblockctl-XXXXXX".utf8CString)
      if unsafe mkdtemp(&template) != nil {
        return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
      }
      failure = errno
    }
    throw .system(doing: "make a directory for the socket", errno: failure)
  }

  private static func connect(
    _ path: String, _ signals: [Int32]
  ) throws(Failure) -> ServerSocket {
    do throws(QMPClientError) {
      return try ServerSocket(path: path, interruptedBy: signals)
    } catch {
      throw .client(error)
    }
  }

  private static func start(_ program: String, _ listener: Int32) throws(Failure) -> Int32 {
    let words = [program, "--exit-when-idle", "--log-level", "warning"]
    var arguments: [UnsafeMutablePointer<CChar>?] = unsafe words.map { word in unsafe strdup(word) }
    unsafe arguments.append(nil)
    let result = unsafe cl_spawn_listener(program, &arguments, listener)
    unsafe arguments.forEach { unsafe free($0) }
    guard result > 0 else {
      throw errno == ENOENT ? .noProgram : .system(doing: "start \(program)", errno: errno)
    }
    return result
  }

  private static func wait(for processID: Int32) {
    var status: Int32 = 0
    while unsafe waitpid(processID, &status, 0) < 0 && errno == EINTR {}
  }
}
