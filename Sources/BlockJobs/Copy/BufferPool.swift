import BlockIO
import Synchronization

/// Buffers of one size, used again and again.
///
/// Isolation: any thread; state behind `free`.
final class BufferPool: Sendable {
  private let size: Int
  private let free = Mutex<[IOBuffer]>([])

  /// Buffers of `size` bytes; made when first needed, at most as many as are in use at once.
  init(size: Int) { self.size = size }

  /// Calls `body` with a buffer that nobody else has meanwhile.
  func withBuffer<R, E: Error>(_ body: (IOBuffer) throws(E) -> R) throws(E) -> R {
    let buffer = free.withLock { $0.popLast() } ?? IOBuffer(count: size)
    defer { free.withLock { $0.append(buffer) } }
    return try body(buffer)
  }
}
