import BlockJobs
import BlockRuntime
import SocketIO

/// Tells the service manager how the daemon is: at each turn of a timer, and when a job changes.
///
/// The timer runs on the control plane, so that a watchdog hears of it when that is stuck.
///
/// Isolation: control plane.
@ControlPlane
final class ServiceReport {
  /// Jobs that the status names; the others are only counted.
  private static let namedJobs = 3
  /// How often the progress of jobs is told.
  private static let pace = Duration.seconds(5)
  /// How long to wait before a manager that was too busy is told again that we are ready: it ends
  /// a daemon of which it does not hear that.
  private static let readyPace = Duration.milliseconds(100)

  private let notifier: SystemdNotifier
  /// Half of the time after which the manager thinks that we are dead.
  private let watchdogPace: Duration?
  private let jobs: @ControlPlane () -> [JobSnapshot]
  private var timer: ControlTimer?
  private var told = ""
  private var isStopping = false

  /// A report on `jobs`. The manager wants to hear of us every `watchdog`, if it wants at all.
  nonisolated init(
    _ notifier: SystemdNotifier, watchdog: Duration?,
    jobs: @escaping @ControlPlane () -> [JobSnapshot]
  ) {
    self.notifier = notifier
    watchdogPace = watchdog.map { $0 / 2 }
    self.jobs = jobs
  }

  /// The daemon serves from now on.
  func ready() {
    guard notifier.hasManager, !isStopping else { return }
    told = ServiceReport.status(of: jobs())
    if notifier.ready(status: told) { return beat() }
    timer = ControlTimer(after: ServiceReport.readyPace) { self.ready() }
  }

  /// The daemon has begun to stop; the watchdog is still fed. A manager that does not listen does
  /// not hear of it: nothing waits for it.
  func stopping() {
    isStopping = true
    notifier.stopping(status: "Cancelling jobs and closing images")
  }

  /// Tells the status, unless it is what was told last.
  func update() {
    guard timer != nil, !isStopping else { return }
    let status = ServiceReport.status(of: jobs())
    if status != told && notifier.status(status) { told = status }
  }

  private func beat() {
    if watchdogPace != nil { notifier.alive() }
    timer = ControlTimer(after: min(watchdogPace ?? ServiceReport.pace, ServiceReport.pace)) {
      self.beat()
    }
    update()
  }

  /// `2 jobs: commit j running 40 %, check k ready 100 %`; those at work before those that wait for
  /// something, and what is over last.
  private static func status(of jobs: [JobSnapshot]) -> String {
    if jobs.isEmpty { return "Idle" }
    let names = (0...2).flatMap { rank in jobs.filter { $0.status.rank == rank } }
      .prefix(namedJobs).map { job in
        let (done, total) = (Double(job.currentProgress), Double(job.totalProgress))
        let percent = total > 0 ? " \(Int(done / total * 100)) %" : ""
        return "\(job.type.rawValue) \(job.id) \(job.status.rawValue)\(percent)"
      }
    let rest = jobs.count > namedJobs ? ", …" : ""
    return "\(jobs.count) job\(jobs.count == 1 ? "" : "s"): \(names.joined(separator: ", "))\(rest)"
  }
}

extension JobStatus {
  /// Where a job of this status stands among others: what is at work comes first, what is over
  /// last.
  fileprivate var rank: Int {
    switch self {
    case .running: 0
    case .concluded, .null: 2
    default: 1
    }
  }
}
