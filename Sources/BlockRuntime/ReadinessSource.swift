import Dispatch

/// Calls a handler on the control plane whenever a descriptor can be read or written.
///
/// It fires again and again for as long as the descriptor stays ready, so a reader reads, and a
/// writer with nothing to write suspends.
///
/// Isolation: control plane.
@ControlPlane
package final class ReadinessSource {
  /// What to wait for.
  package enum Interest: Sendable {
    /// Bytes, a connection, or the end of the stream can be read without waiting.
    case read
    /// Bytes can be written without waiting.
    case write
  }

  private let source: DispatchSource
  private var isSuspended = true

  /// A source for `descriptor`, which its owner keeps open until `cancel` has called back. It is
  /// suspended until the first `resume`.
  package init(
    _ descriptor: Int32, _ interest: Interest,
    _ handler: @escaping @Sendable @ControlPlane () -> Void
  ) {
    source =
      switch interest {
      case .read:
        sendable(
          DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: ControlPlane.queue))
      case .write:
        sendable(
          DispatchSource.makeWriteSource(fileDescriptor: descriptor, queue: ControlPlane.queue))
      }
    source.setEventHandler { ControlPlane.assumeIsolated(handler) }
  }

  deinit {
    source.cancel()
    // Dispatch stops the program that lets a suspended source go.
    if isSuspended { source.resume() }
  }

  /// Lets the handler be called. Does nothing when it already may be.
  package func resume() {
    guard isSuspended else { return }
    isSuspended = false
    source.resume()
  }

  /// Keeps the handler from being called until the next `resume`.
  package func suspend() {
    guard !isSuspended else { return }
    isSuspended = true
    source.suspend()
  }

  /// Ends the source: the handler is not called any more. `done` is called on the control plane
  /// once the descriptor may be closed.
  package func cancel(then done: @escaping @Sendable @ControlPlane () -> Void) {
    source.setCancelHandler { ControlPlane.assumeIsolated(done) }
    source.cancel()
    resume()
  }
}
