import Dispatch
import Synchronization

/// Counts the requests in flight on a node, and can be closed so that the graph may change.
///
/// Between `drain` and `resume` requests wait in `enter` on the lanes that they run on, which may
/// be all lanes of a device: work that must be done in between uses a `Lane` of its own.
///
/// Isolation: any thread; state behind `state`.
package final class InFlightGate: Sendable {
  private let state = Mutex(State())

  package init() {}

  /// Counts one more request; while the gate is closed, waits until it opens. Never on the control
  /// plane, and never by a request that is already inside.
  package func enter() {
    let opened = state.withLock { state -> DispatchSemaphore? in
      guard state.isClosed else {
        state.inFlight += 1
        return nil
      }
      let opened = DispatchSemaphore(value: 0)
      state.waiting.append(opened)
      return opened
    }
    opened?.wait()
  }

  /// Counts one request less.
  package func leave() {
    let drained = state.withLock { state -> [Handler] in
      precondition(state.inFlight > 0, "a request left that had not entered")
      state.inFlight -= 1
      return state.takeDrained()
    }
    drained.forEach(ControlPlane.post)
  }

  /// Closes the gate, and calls `drained` on the control plane (never inside this call) when no
  /// request is inside. Several may drain at once; the gate opens when each has called `resume`.
  package func drain(then drained: @escaping @Sendable @ControlPlane () -> Void) {
    let handlers = state.withLock { state -> [Handler] in
      state.drains += 1
      state.handlers.append(drained)
      return state.takeDrained()
    }
    handlers.forEach(ControlPlane.post)
  }

  /// Takes back one `drain` that has called back; the last one lets waiting requests in.
  package func resume() {
    state.withLock { state in
      precondition(state.isClosed, "resume without drain")
      state.drains -= 1
      guard !state.isClosed else { return }
      state.inFlight += state.waiting.count
      for opened in state.waiting { opened.signal() }
      state.waiting.removeAll()
    }
  }

  private typealias Handler = @Sendable @ControlPlane () -> Void

  private struct State {
    var inFlight = 0
    /// Drains that have not been resumed.
    var drains = 0
    /// Whom to tell when `inFlight` comes to zero.
    var handlers: [Handler] = []
    /// One semaphore for each request that waits for the gate to open.
    var waiting: [DispatchSemaphore] = []

    var isClosed: Bool { drains > 0 }

    /// The handlers to be called now; none while a request is inside.
    mutating func takeDrained() -> [Handler] {
      guard inFlight == 0 else { return [] }
      defer { handlers.removeAll() }
      return handlers
    }
  }
}
