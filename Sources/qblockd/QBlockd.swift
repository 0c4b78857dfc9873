import ArgumentParser
import BlockCore
import BlockDaemon
import BlockRuntime
import Dispatch
import Glibc
import Logging
import QMP
import QMPClient

/// The command line of the daemon.
@main
struct QBlockd: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "qblockd",
    abstract: "Runs commit and make-empty on disk images, as jobs, for clients that speak QMP.",
    version: VersionInfo.ours.package)

  @Option(
    help: ArgumentHelp(
      "The control socket. Without it /run/qblockd/qmp.sock for root, else "
        + "$XDG_RUNTIME_DIR/qblockd.sock; under systemd the service's own.", valueName: "path"))
  var socket: String?
  @Option(
    help: ArgumentHelp(
      "A second socket, on which clients may only query and hear events.", valueName: "path"))
  var socketReadonly: String?
  @Option(help: ArgumentHelp("Permission bits of the socket, in octal.", valueName: "mode"))
  var socketMode = "0660"
  @Option(help: ArgumentHelp("Group of the socket, by name or number.", valueName: "group"))
  var socketGroup: String?
  @Option(
    help: ArgumentHelp(
      "Let in clients of this user, by number; may be given again.", valueName: "uid"))
  var allowUid: [UInt32] = []
  @Option(
    help: ArgumentHelp(
      "Let in clients of this group, by number; may be given again.", valueName: "gid"))
  var allowGid: [UInt32] = []
  @Option(help: ArgumentHelp("Let in at most this many clients at a time.", valueName: "count"))
  var maxClients = 2048
  @Option(
    help: ArgumentHelp(
      "Drop a client that takes longer to end a message that it has begun.", valueName: "seconds"))
  var messageTime = 10
  @Option(
    help: ArgumentHelp(
      "Open images in this directory only; may be given again.", valueName: "directory"))
  var imageRoot: [String] = []
  @Option(
    help: ArgumentHelp(
      "Open this node at the start: the arguments of blockdev-add, as JSON or as key=value,... "
        + "with dots; may be given again.", valueName: "node"))
  var blockdev: [String] = []
  @Option(
    help: ArgumentHelp(
      "The most memory for the tables of all images together, in bytes, with k, M, G or T for "
        + "powers of 1024.", valueName: "size"),
    transform: byteCount(_:))
  var cacheSize = Limits.metadataCacheBytes
  @Option(
    help: ArgumentHelp(
      "threads, io_uring or auto: how disks are asked for many places at once. auto takes io_uring "
        + "where the system allows it. Without it $QBLOCKD_IO, else auto.", valueName: "backend"))
  var io: String?
  @Option(
    help: ArgumentHelp("Remember this many events for x-query-events.", valueName: "count"))
  var eventHistory = 4096
  @Option(
    help: ArgumentHelp(
      "Remember this many jobs that are gone for x-query-job-history.", valueName: "count"))
  var jobHistory = 256
  @Option(
    help: ArgumentHelp(
      "Forget such a job after this time; a day without it.", valueName: "seconds"))
  var jobHistoryTime = 86_400
  @Option(
    help: ArgumentHelp(
      "At the end, wait so long for disks that do not answer.", valueName: "seconds"))
  var stopTime = 60
  @Flag(help: "End when the last client has gone and every job is over.")
  var exitWhenIdle = false
  @Option(help: ArgumentHelp("Keep the process id in this file.", valueName: "path"))
  var pidFile: String?
  @Flag(
    help: ArgumentHelp(
      "Go into the background: the command ends, with status 0, when the socket listens. The log "
        + "goes nowhere from then on."))
  var daemonize = false
  @Option(
    help: ArgumentHelp(
      "trace, debug, info, notice (without it), warning, error or critical.", valueName: "level"),
    transform: logLevel(named:))
  var logLevel = Logger.Level.notice

  /// Whatever is wrong with the command line ends the program as everything does that keeps it from
  /// starting: with one sentence and status 1.
  static func main() {
    guard StandardStream.openAll() else { Glibc.exit(1) }
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      // Help and the version come this way, too.
      exit(withError: exitCode(for: error).isSuccess ? error : StartFailure(message(for: error)))
    }
  }

  func run() throws {
    ProcessMemory.useOneArena()
    let configuration = try daemonConfiguration()
    let background = try daemonize ? Background.enter() : nil
    LoggingSystem.bootstrap(StreamLogHandler.standardError)
    var log = Logger(label: "qblockd")
    log.logLevel = logLevel
    // A client that goes away, a terminal that closes, a file that hits a limit: all are errors of
    // a call here, never the end of the process.
    for signal in [SIGPIPE, SIGHUP, SIGXFSZ] { SignalSource.ignore(signal) }
    ControlPlane.post { [log] in
      Task { @ControlPlane in
        do throws(BlockError) {
          let daemon = try Daemon(configuration, log)
          try await daemon.start()
          running = daemon
          try background?.detach()
        } catch {
          log.critical("\(error)")
          Glibc.exit(1)
        }
      }
    }
    dispatchMain()
  }

  private func daemonConfiguration() throws -> DaemonConfiguration {
    var configuration = DaemonConfiguration()
    guard unsafe !daemonize || getenv("LISTEN_FDS") == nil else {
      throw ValidationError("--daemonize would leave the service manager's sockets behind")
    }
    configuration.socket = socket.map(lasting)
    guard let mode = UInt32(socketMode, radix: 8), mode <= 0o777 else {
      throw ValidationError("--socket-mode '\(socketMode)' is not an octal number up to 0777")
    }
    configuration.socketMode = mode
    configuration.socketGroup = socketGroup
    guard (1...1_000_000).contains(eventHistory), (0...1_000_000).contains(jobHistory) else {
      throw ValidationError("--event-history is 1 to 1000000, --job-history 0 to 1000000")
    }
    guard jobHistoryTime >= 0 else { throw ValidationError("--job-history-time is negative") }
    configuration.eventHistory = eventHistory
    configuration.jobHistory = jobHistory
    configuration.jobHistorySeconds = jobHistoryTime
    guard maxClients > 0 else { throw ValidationError("--max-clients is at least 1") }
    guard maxClients > 1 || socketReadonly == nil else {
      throw ValidationError("--max-clients is at least 2 with --socket-readonly")
    }
    guard messageTime >= 0 else { throw ValidationError("--message-time is negative") }
    configuration.readOnlySocket = socketReadonly.map(lasting)
    configuration.clients.maximum = maxClients
    configuration.clients.users = Set(allowUid)
    configuration.clients.groups = Set(allowGid)
    configuration.clients.messageTime = .seconds(messageTime)
    configuration.imageRoots = imageRoot
    configuration.cacheBytes = cacheSize
    configuration.io = try ioBackend()
    configuration.pidFile = pidFile.map(lasting)
    guard stopTime > 0 else { throw ValidationError("--stop-time is at least 1") }
    configuration.stopTime = .seconds(stopTime)
    configuration.exitsWhenIdle = exitWhenIdle
    for text in blockdev {
      do throws(QMPError) {
        configuration.nodes.append(try BlockdevOptions(text: text).renamed(lasting))
      } catch {
        throw ValidationError("--blockdev '\(text)': \(error)")
      }
    }
    return configuration
  }

  private func ioBackend() throws -> IOBackend {
    let variable = "QBLOCKD_IO"
    let inherited = unsafe getenv(variable).map { unsafe String(cString: $0) } ?? ""
    guard let name = io ?? (inherited.isEmpty ? nil : inherited) else { return .automatic }
    guard let backend = IOBackend(rawValue: name) else {
      let names = IOBackend.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("\(io == nil ? variable : "--io") '\(name)' is none of \(names)")
    }
    return backend
  }

  /// `path` so that it is good from every directory: a daemon in the background leaves this one.
  private func lasting(_ path: String) -> String {
    daemonize ? absolutePath(path) : path
  }
}

/// Why the daemon does not start.
private struct StartFailure: Error, CustomStringConvertible {
  let description: String

  init(_ sentence: String) { description = sentence }
}

/// The daemon lives as long as the process.
@ControlPlane private var running: Daemon?

private func byteCount(_ text: String) throws -> Int {
  guard let count = try? ByteCount.parse(text) else {
    throw ValidationError("'\(text)' is not a number of bytes")
  }
  return count
}

private func logLevel(named name: String) throws -> Logger.Level {
  guard let level = Logger.Level(rawValue: name) else {
    throw ValidationError("'\(name)' is not a log level")
  }
  return level
}
