package import BlockCore
import CUring
import Glibc
import Synchronization

/// The kernel's io_uring for batches of reads and writes.
///
/// Isolation: one owner at a time.
///
/// `@unchecked Sendable`: an owner passes the ring on through a `RingPool`, and nothing of a batch
/// is on its way after that.
@safe
package final class Ring: @unchecked Sendable {
  /// How many requests are on their way at most: what a disk has queues for.
  private static let depth: UInt32 = 64

  private let ring: OpaquePointer
  /// Whether it may be used again.
  private(set) var isSound = true

  /// Throws what the system says where there is none: it is too old, or does not allow it.
  package init() throws(BlockError) {
    guard let ring = unsafe curing_create(Ring.depth) else {
      throw SystemCall.error(errno, on: nil)
    }
    unsafe self.ring = ring
  }

  deinit { unsafe curing_destroy(ring) }

  /// Carries out `runs` on `file`, in any order, and returns when all are over: for each the bytes
  /// that are done, or a negative error number.
  func carryOut(_ runs: [IORun], on file: OpenFile) -> [Int32] {
    let vectors = unsafe runs.flatMap { unsafe $0.vectors }
    return unsafe vectors.withUnsafeBufferPointer { vectors in
      var next = 0
      var requests = unsafe runs.map { run in
        defer { next += run.requests.count }
        return unsafe curing_request(
          fd: file.descriptor, is_write: run.operation == .write ? 1 : 0,
          parts: vectors.baseAddress?.advanced(by: next), count: Int32(run.requests.count),
          result: 0, offset: Int64(run.range.lower))
      }
      isSound = unsafe curing_run(ring, &requests, Int32(requests.count)) == 0
      return unsafe requests.map { unsafe $0.result }
    }
  }
}

/// Rings, made when they are needed: as many as batches are at work at once.
///
/// Isolation: any thread; state behind `free`.
package final class RingPool: Sendable {
  private let free: Mutex<[Ring]>

  /// The rings for `backend`; nil where threads do the work. `makeRing` finds out whether the
  /// system has any. Throws what it says where rings are wanted and nothing else.
  package static func of(
    _ backend: IOBackend, making makeRing: () throws(BlockError) -> Ring = Ring.init
  ) throws(BlockError) -> RingPool? {
    guard backend != .threads else { return nil }
    do {
      return RingPool(try makeRing())
    } catch {
      guard backend == .ring else { return nil }
      throw error.prefixed(
        "The system does not give io_uring (ask for --io auto or threads, or see to "
          + "kernel.io_uring_disabled and the service's SystemCallFilter)")
    }
  }

  private init(_ first: Ring) { free = Mutex([first]) }

  /// Calls `body` with a ring that nobody else has meanwhile; nil where the system gives no more.
  func withRing<R>(_ body: (Ring) -> R) -> R? {
    guard let ring = free.withLock({ $0.popLast() }) ?? (try? Ring()) else { return nil }
    defer { if ring.isSound { free.withLock { $0.append(ring) } } }
    return body(ring)
  }
}
