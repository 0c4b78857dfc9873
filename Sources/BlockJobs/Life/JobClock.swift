import BlockCore
package import BlockRuntime

/// Time for jobs: what it is, and a call when some of it has passed. Tests bring their own.
///
/// Isolation: control plane.
@ControlPlane
package protocol JobClock: AnyObject {
  /// Nanoseconds on a clock that never goes back.
  var nanoseconds: UInt64 { get }
  /// Calls `handler` once after `delay` nanoseconds, unless the alarm is cancelled or let go.
  func alarm(
    after delay: UInt64, _ handler: @escaping @Sendable @ControlPlane () -> Void
  ) -> any JobAlarm
}

/// A call that is to come.
///
/// Isolation: control plane.
@ControlPlane
package protocol JobAlarm: AnyObject {
  /// Makes sure that the handler is not called any more.
  func cancel()
}

extension ControlTimer: JobAlarm {}

/// The system's monotonic clock.
///
/// Isolation: control plane.
@ControlPlane
package final class SystemJobClock: JobClock {
  private let clock = SystemClock()

  package init() {}

  package var nanoseconds: UInt64 { clock.nanoseconds }

  package func alarm(
    after delay: UInt64, _ handler: @escaping @Sendable @ControlPlane () -> Void
  ) -> any JobAlarm {
    ControlTimer(after: .nanoseconds(Int64(clamping: delay)), handler)
  }
}
