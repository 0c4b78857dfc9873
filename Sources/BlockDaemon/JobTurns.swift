import BlockJobs
import BlockRuntime

/// Tells the daemon when a job has come to another state, after everybody has dealt with that.
///
/// Isolation: control plane.
@ControlPlane
final class JobTurns {
  /// Called when a job has come to another state.
  var whenChanged: @Sendable @ControlPlane () -> Void = {}
  /// Called when a job is over.
  var whenOver: @Sendable @ControlPlane () -> Void = {}

  nonisolated init() {}

  /// Takes notice of `event`.
  func note(_ event: JobEvent) {
    guard case .statusChanged(_, let status) = event else { return }
    ControlPlane.post(whenChanged)
    if status == .concluded || status == .null { ControlPlane.post(whenOver) }
  }
}
