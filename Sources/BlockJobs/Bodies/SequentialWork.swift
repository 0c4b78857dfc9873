import BlockCore
import BlockIO
import Synchronization

/// Work that goes through a range window by window, from its beginning to its end.
///
/// Isolation: any thread; one step at a time, state behind `state`.
final class SequentialWork: SteppedWork {
  /// Does what there is to do at the front of a range, up to a window of bytes, with a buffer that
  /// is its own for as long. Returns how many bytes are done, 0 where the work is over early.
  typealias Body =
    @Sendable (_ rest: ByteRange, _ buffer: IOBuffer) throws(StepError) -> Int

  private let progress: JobProgress
  private let buffers: BufferPool
  private let rest: Mutex<ByteRange>
  private let body: Body

  /// Goes through `range` with `body`, which gets a buffer of `windows` copy windows.
  init(_ range: ByteRange, windows: Int = 1, progress: JobProgress, _ body: @escaping Body) {
    self.progress = progress
    self.body = body
    buffers = BufferPool.of(size: windows * Limits.copyWindowBytes)
    rest = Mutex(range)
    progress.expect(range.length)
  }

  var width: Int { 1 }
  var isThrottled: Bool { true }

  func step(_ lease: StepLease) throws(StepError) -> StepResult {
    var left = rest.withLock { $0 }
    var bytes = 0
    defer { rest.withLock { $0 = left } }
    while !left.isEmpty {
      let done = try buffers.withBuffer { (buffer) throws(StepError) in try body(left, buffer) }
      left = done == 0 ? left.dropping(left.length) : left.dropping(done)
      bytes += done
      progress.advance(by: done)
      if lease.isOver(after: bytes) { break }
    }
    return StepResult(bytes: bytes, isExhausted: left.isEmpty)
  }
}
