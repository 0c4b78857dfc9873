import BlockIO
import Synchronization

/// Buffers of one size, used again and again, shared by all jobs. A job that waits for its turn,
/// its speed or its client holds none, so that memory grows with the lanes that work and not with
/// the jobs that there are. With the last job that uses them they go.
///
/// Isolation: any thread; state behind `free`.
final class BufferPool: Sendable {
  private struct Weak {
    weak var pool: BufferPool?
  }

  private static let shared = Mutex<[Int: Weak]>([:])

  private let size: Int
  private let free = Mutex<[IOBuffer]>([])

  private init(size: Int) { self.size = size }

  /// The buffers of `size` bytes; made when first needed, at most as many as are in use at once.
  static func of(size: Int) -> BufferPool {
    shared.withLock { pools in
      if let pool = pools[size]?.pool { return pool }
      let pool = BufferPool(size: size)
      pools = pools.filter { $0.value.pool != nil }
      pools[size] = Weak(pool: pool)
      return pool
    }
  }

  /// Calls `body` with a buffer that nobody else has meanwhile.
  func withBuffer<R, E: Error>(_ body: (IOBuffer) throws(E) -> R) throws(E) -> R {
    let buffer = free.withLock { $0.popLast() } ?? IOBuffer(count: size)
    defer { free.withLock { $0.append(buffer) } }
    return try body(buffer)
  }
}
