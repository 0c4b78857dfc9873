import ArgumentParser
import BlockCore
import BlockDaemon
import BlockRuntime
import Dispatch
import Glibc
import JSONValue
import Logging

/// The command line of the daemon.
@main
struct QBlockd: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "qblockd",
    abstract: "Runs commit and make-empty on disk images, as jobs, for clients that speak QMP.",
    version: "qblockd \(DaemonVersion.text)")

  @Option(help: "Path of the control socket.")
  var socket: String?
  @Option(help: "Permission bits of the socket, in octal.")
  var socketMode = "0660"
  @Option(help: "Group of the socket.")
  var socketGroup: String?
  @Option(help: "Open images in this directory only; may be given again.")
  var imageRoot: [String] = []
  @Option(help: "Open this node at the start: the arguments of blockdev-add; may be given again.")
  var blockdev: [String] = []
  @Flag(help: "End when the last client has gone and no job is left.")
  var exitWhenIdle = false
  @Option(help: "Keep the process id in this file.")
  var pidFile: String?
  @Option(
    help: "trace, debug, info, notice, warning, error or critical.", transform: logLevel(named:))
  var logLevel = Logger.Level.notice

  func run() throws {
    let configuration = try daemonConfiguration()
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
    configuration.socket = socket
    guard let mode = UInt32(socketMode, radix: 8), mode <= 0o777 else {
      throw ValidationError("--socket-mode '\(socketMode)' is not an octal number up to 0777")
    }
    configuration.socketMode = mode
    configuration.socketGroup = socketGroup
    configuration.imageRoots = imageRoot
    configuration.pidFile = pidFile
    configuration.exitsWhenIdle = exitWhenIdle
    for text in blockdev {
      do throws(JSONSyntaxError) {
        configuration.nodes.append(try JSONValue.parse(text))
      } catch {
        throw ValidationError("--blockdev '\(text)': \(error)")
      }
    }
    return configuration
  }
}

/// The daemon lives as long as the process.
@ControlPlane private var running: Daemon?

private func logLevel(named name: String) throws -> Logger.Level {
  guard let level = Logger.Level(rawValue: name) else {
    throw ValidationError("'\(name)' is not a log level")
  }
  return level
}
