import BlockJobs
import BlockRuntime
import SocketIO

/// Keeps count of the jobs: tells the service manager how many there are, and the daemon when one
/// is over.
///
/// Isolation: control plane.
@ControlPlane
final class JobWatch {
  private let notifier: SystemdNotifier
  private var jobs = 0
  /// Called when a job is over, after everybody has dealt with that.
  var whenOver: @Sendable @ControlPlane () -> Void = {}

  nonisolated init(_ notifier: SystemdNotifier) { self.notifier = notifier }

  /// Takes notice of `event`.
  func note(_ event: JobEvent) {
    guard case .statusChanged(_, let status) = event else { return }
    if status == .concluded || status == .null { ControlPlane.post(whenOver) }
    guard status == .created || status == .null else { return }
    jobs += status == .created ? 1 : -1
    notifier.status(jobs == 0 ? "Idle" : "\(jobs) job(s)")
  }
}
