import Dispatch

/// Calls a handler on the control plane once, after a while.
///
/// Isolation: control plane.
@ControlPlane
package final class ControlTimer {
  private let source: DispatchSource

  /// Calls `handler` once when `delay` has passed on the monotonic clock; never early, and never if
  /// the timer is cancelled or let go before.
  package init(after delay: Duration, _ handler: @escaping @Sendable @ControlPlane () -> Void) {
    let timer = DispatchSource.makeTimerSource(queue: ControlPlane.queue)
    timer.schedule(deadline: .now() + delay.dispatchInterval, leeway: .milliseconds(1))
    timer.setEventHandler { ControlPlane.assumeIsolated(handler) }
    source = sendable(timer)
    source.activate()
  }

  deinit { source.cancel() }

  /// Makes sure that the handler is not called any more.
  package func cancel() { source.cancel() }
}

extension Duration {
  /// The same time in Dispatch's unit, rounded up to a nanosecond and held between nothing and the
  /// 292 years that Dispatch can count.
  fileprivate var dispatchInterval: DispatchTimeInterval {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return .nanoseconds(0) }
    let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    guard !overflow else { return .never }
    let rest = (attoseconds + 999_999_999) / 1_000_000_000
    let (total, tooLong) = whole.addingReportingOverflow(rest)
    return tooLong ? .never : .nanoseconds(Int(total))
  }
}
