package import BlockCore
import BlockGraph
import BlockIO
import BlockJobs
package import BlockRuntime
import Glibc
import ImageFormats
package import Logging
import QMP
import SocketIO

/// The daemon: everything there is one of, from start to end.
///
/// Isolation: control plane.
@ControlPlane
package final class Daemon {
  /// Files that may be open besides the clients' sockets: images, and what the process itself has.
  private static let filesBesideClients = 4096
  /// How long clients may take to read their last answers.
  private static let farewell = Duration.seconds(2)

  private let configuration: DaemonConfiguration
  private let log: Logger
  private let events: EventBus
  private let dispatcher = CommandDispatcher()
  private let services: DaemonServices
  private let server: QMPServer
  private let report: ServiceReport
  private let turns: JobTurns
  private var pidFile: PIDFile?
  private var signals: [SignalSource] = []
  private var isStopping = false
  private var patience: ControlTimer?

  /// Prepares everything that can fail without touching an image.
  ///
  /// Throws what opening the image roots throws, and where io_uring is asked for and there is none.
  package init(_ configuration: DaemonConfiguration, _ log: Logger) throws(BlockError) {
    self.configuration = configuration
    self.log = log
    let turns = JobTurns()
    self.turns = turns
    let events = EventBus(remembered: configuration.eventHistory)
    self.events = events
    let rings = try RingPool.of(configuration.io)
    if rings == nil, configuration.io != .threads {
      log.info("The system gives no io_uring: threads do its work")
    }
    let graph = BlockGraph(
      gate: try OpenGate(roots: configuration.imageRoots, rings: rings),
      budget: CacheBudget(bytes: configuration.cacheBytes))
    let history = JobHistory(
      most: configuration.jobHistory, seconds: configuration.jobHistorySeconds)
    let jobs = JobRegistry(graph: graph, history: history) { event in
      events.send(event)
      turns.note(event)
    }
    let report = ServiceReport(
      .fromEnvironment(), watchdog: try SystemdNotifier.watchdogFromEnvironment(),
      jobs: { jobs.all.map(\.snapshot) })
    self.report = report
    turns.whenChanged = { report.update() }
    services = DaemonServices(graph: graph, jobs: jobs, events: events)
    server = QMPServer(dispatcher, events, configuration.clients, log)
  }

  /// Opens the configured nodes and begins to serve.
  ///
  /// Throws what the nodes' opening, the socket's binding and writing the pid file throw; then
  /// nothing is served.
  package func start() async throws(BlockError) {
    // First of all: it changes the environment, which lanes must not read meanwhile.
    let inherited = try SystemdActivation.take()
    let files = configuration.clients.maximum + Daemon.filesBesideClients
    let possible = OpenFileLimit.raise(to: files)
    if possible < files {
      log.warning(
        "Only \(possible) files can be open, not the \(files) that --max-clients and images want")
    }
    dispatcher.addAllHandlers(services) { self.stop(.hostQMPQuit) }
    server.whenEmpty = {
      self.services.graph.gate.descriptors.removeUnused()
      if self.configuration.exitsWhenIdle { self.stopIfIdle() }
    }
    if configuration.exitsWhenIdle {
      turns.whenOver = { self.stopIfIdle() }
    }
    for sign in [SIGTERM, SIGINT] {
      signals.append(SignalSource(sign) { self.signalled(sign) })
    }
    for node in configuration.nodes {
      _ = try await services.graph.add(NodeSpecification(node))
    }
    let (listeners, place) = try listen(inherited)
    do throws(BlockError) {
      // Not before the socket is ours: the file may be that of a daemon which has it.
      pidFile = try configuration.pidFile.map { (path) throws(BlockError) in try PIDFile(path) }
    } catch {
      listeners.forEach { $0.socket.close() }
      throw error
    }
    for listener in listeners { server.serve(listener.socket, listener.access) }
    log.notice("Serving QMP on \(place)")
    report.ready()
  }

  /// The sockets that systemd hands over, else the configured one, and what to call them; and the
  /// one for queries.
  private func listen(_ inherited: [Int32]) throws(BlockError) -> (
    listeners: [(socket: UnixListener, access: SessionAccess)], place: String
  ) {
    var listeners: [(socket: UnixListener, access: SessionAccess)]
    var place = "\(inherited.count) inherited socket(s)"
    if inherited.isEmpty {
      place = try configuration.socketPath()
      listeners = [(try listen(at: place), .full)]
    } else {
      listeners = inherited.map { (UnixListener(adopting: $0), .full) }
      if let socket = configuration.socket {
        log.warning("The service manager handed over the socket; --socket \(socket) is not used")
      }
    }
    guard let path = configuration.readOnlySocket else { return (listeners, place) }
    do throws(BlockError) {
      listeners.append((try listen(at: path), .queries))
    } catch {
      listeners.forEach { $0.socket.close() }
      throw error
    }
    return (listeners, place)
  }

  /// A socket of our own at `path`.
  private func listen(at path: String) throws(BlockError) -> UnixListener {
    try UnixListener(
      binding: SocketAddress(path: path), mode: configuration.socketMode,
      group: try configuration.socketGroupID())
  }

  /// Cancels the jobs at a safe point, closes the images and ends the process: with status 0, or 1
  /// where closing an image has failed with something new.
  private func stop(_ cause: Shutdown.Cause) {
    guard !isStopping else { return }
    isStopping = true
    report.stopping()
    events.send(Shutdown { $0.reason = cause })
    patience = ControlTimer(after: configuration.stopTime) { self.giveUp() }
    Task {
      server.stopListening()
      await services.jobs.cancelAll()
      let failures = await services.graph.closeAll()
      patience = nil
      await server.finishSessions(patience: Daemon.farewell)
      for failure in failures { log.error("\(String(describing: failure).printable)") }
      pidFile?.remove()
      // What a file's failed flush has left was told to who had asked for it.
      exit(failures.allSatisfy(\.isAfterFlush) ? 0 : 1)
    }
  }

  /// Ends the daemon though a disk does not answer: what that leaves is what a crash may leave, and
  /// nobody was told that it was done.
  private func giveUp() {
    let left = services.jobs.all.map(\.snapshot).filter { $0.status != .concluded }
    for job in left {
      log.error("Job '\(job.id)' does not end: its disk does not answer, and is left as it is")
    }
    if left.isEmpty { log.error("An image cannot be closed: its disk does not answer") }
    pidFile?.remove()
    _exit(1)
  }

  /// Ends the daemon of a client that is gone, when what it asked for is done.
  private func stopIfIdle() {
    let isDone = services.jobs.all.allSatisfy { $0.snapshot.status == .concluded }
    if server.isEmpty && isDone { stop(.hostQMPQuit) }
  }

  /// The first signal ends the daemon in order, a second one at once: what that leaves is what a
  /// crash may leave.
  private func signalled(_ sign: Int32) {
    if isStopping { _exit(128 + sign) }
    log.notice("Signal \(sign): stopping")
    stop(.hostSignal)
  }
}
