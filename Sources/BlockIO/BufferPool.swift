import Synchronization

/// A bounded number of equal buffers, so that a copy's memory is known beforehand. Nobody waits:
/// who gets none does less at a time.
///
/// Isolation: any thread; state behind `state`.
package final class BufferPool: Sendable {
  /// The length of each buffer in bytes.
  package let bufferSize: Int

  private struct State {
    var idle: [IOBuffer] = []
    var mayBeMade: Int
  }
  private let state: Mutex<State>

  /// At most `count` buffers of `bufferSize` bytes, made when they are first needed.
  package init(count: Int, bufferSize: Int) {
    precondition(count > 0 && bufferSize > 0)
    self.bufferSize = bufferSize
    state = Mutex(State(mayBeMade: count))
  }

  /// A buffer, with whatever its last user left in it; nil when all are taken.
  package func take() -> IOBuffer? {
    state.withLock { state in
      if let buffer = state.idle.popLast() { return buffer }
      guard state.mayBeMade > 0 else { return nil }
      state.mayBeMade -= 1
      return IOBuffer(count: bufferSize)
    }
  }

  /// Gives back a buffer that `take` returned, and that its user will not touch again.
  package func give(_ buffer: IOBuffer) {
    precondition(buffer.count == bufferSize, "a buffer goes back to the pool it came from")
    state.withLock { $0.idle.append(buffer) }
  }
}
