import CLinux
import Glibc

/// Calls a handler on the control plane when a signal has arrived, in place of the signal's default
/// effect. At most one source per signal at a time.
///
/// Isolation: control plane.
@ControlPlane
package final class SignalSource {
  private let signal: Int32
  private let source: ReadinessSource

  /// Calls `handler` when `signal` (such as SIGTERM) has arrived. Several that arrive before the
  /// handler has run are one, as the kernel itself has it.
  package init(_ signal: Int32, _ handler: @escaping @Sendable @ControlPlane () -> Void) {
    let descriptor = cl_signal_report(signal)
    precondition(descriptor >= 0, "signal \(signal) cannot be caught: errno \(errno)")
    self.signal = signal
    source = ReadinessSource(descriptor, .read) {
      var count: UInt64 = 0
      guard unsafe read(descriptor, &count, 8) == 8 else { return }
      handler()
    }
    source.resume()
  }

  deinit { _ = cl_signal_default(signal) }

  /// Ends a signal's effect on the process for good: SIGPIPE, SIGHUP.
  package nonisolated static func ignore(_ signal: Int32) {
    precondition(cl_signal_ignore(signal) == 0, "signal \(signal) cannot be ignored")
  }
}
