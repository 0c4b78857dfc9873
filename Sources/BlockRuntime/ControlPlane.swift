import Dispatch

/// The one thread of control: it owns names, the graph, jobs, sessions and exports, and never waits
/// for a disk.
///
/// Every declaration marked `@ControlPlane` runs on one serial queue, in the order in which it was
/// posted. Work that may block goes to a lane (`LanePool`) and comes back with one `post`.
///
/// Isolation: the global actor itself; its static functions may be called from any thread.
@globalActor
package actor ControlPlane {
  package static let shared = ControlPlane()

  /// The queue behind the actor, for the Dispatch sources of this module.
  static let queue = DispatchQueue(label: "qblockd.control")
  private static let executor = QueueExecutor(queue)

  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe ControlPlane.executor.asUnownedSerialExecutor()
  }

  /// Runs `work` on the control plane after everything posted before it, and returns at once. Also
  /// from the control plane itself `work` runs later, never inside this call.
  package static func post(_ work: @escaping @Sendable @ControlPlane () -> Void) {
    queue.async { assumeIsolated(work) }
  }

  /// Runs `body` in place: the way in for Dispatch callbacks, which the compiler cannot know to be
  /// on the control plane. Anywhere else it stops the program.
  package static func assumeIsolated<T, E: Error>(
    _ body: @ControlPlane () throws(E) -> T
  ) throws(E) -> T {
    preconditionIsolated()
    // A function type's isolation is a promise of the type checker, not a part of its value; the
    // line above has just kept that promise.
    return try withoutActuallyEscaping(body) { (body) throws(E) -> T in
      try unsafe unsafeBitCast(body, to: (() throws(E) -> T).self)()
    }
  }

  /// Stops the program unless the caller runs on the control plane.
  package static func preconditionIsolated() {
    dispatchPrecondition(condition: .onQueue(queue))
  }
}

/// Runs an actor's jobs on a serial queue.
///
/// Isolation: any thread.
private final class QueueExecutor: SerialExecutor {
  private let queue: DispatchQueue

  init(_ queue: DispatchQueue) { self.queue = queue }

  func enqueue(_ job: consuming ExecutorJob) {
    let unowned = UnownedJob(job)
    queue.async {
      unsafe unowned.runSynchronously(on: self.asUnownedSerialExecutor())
    }
  }

  /// Lets the language's own run-time checks accept code that Dispatch, not the actor, started.
  func checkIsolated() {
    dispatchPrecondition(condition: .onQueue(queue))
  }
}
