import BlockCore
import Glibc

/// A fixed piece of memory, aligned for direct I/O. It is the system's own pages: only those that
/// are touched are taken, and all go back when it ends. In the allocator's heap, buffers of many
/// jobs with what lives longer between them came to 170 MiB that were never given back.
///
/// Isolation: one owner at a time; whoever holds it may hand it to another thread, never share it.
///
/// `@unchecked Sendable`: the memory is reached only through the two closures below, and an owner
/// passes the buffer on (through a lane or a pool) before the next one touches it.
@safe
package final class IOBuffer: @unchecked Sendable {
  /// A page, and the largest logical block of a disk.
  package static let alignment = 4096
  /// Its length in bytes.
  package let count: Int
  fileprivate let memory: UnsafeMutableRawBufferPointer

  /// `count` bytes, all zero, so that no one else's bytes can leak into an image. Where there is no
  /// memory left the program ends, as it does for all other memory.
  package init(count: Int) {
    precondition(count > 0)
    self.count = count
    let length = count.roundedUp(to: IOBuffer.alignment)
    let pages = unsafe mmap(
      nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let pages = unsafe pages, unsafe pages != MAP_FAILED else {
      preconditionFailure("no memory for a buffer of \(length) bytes")
    }
    unsafe memory = UnsafeMutableRawBufferPointer(start: pages, count: length)
  }

  deinit { unsafe _ = munmap(memory.baseAddress, memory.count) }

  /// Calls `body` with the bytes `part`, to be read.
  @inlinable
  package func withBytes<R, E: Error>(
    _ part: Range<Int>, _ body: (RawSpan) throws(E) -> R
  ) throws(E) -> R {
    precondition(part.lowerBound >= 0 && part.upperBound <= count)
    let span = unsafe RawSpan(
      _unsafeBytes: UnsafeRawBufferPointer(rebasing: memory[part]))
    return try body(span)
  }

  /// Calls `body` with the bytes `part`, to be changed.
  @inlinable
  package func withMutableBytes<R, E: Error>(
    _ part: Range<Int>, _ body: (inout MutableRawSpan) throws(E) -> R
  ) throws(E) -> R {
    precondition(part.lowerBound >= 0 && part.upperBound <= count)
    var span = unsafe MutableRawSpan(
      _unsafeBytes: UnsafeMutableRawBufferPointer(rebasing: memory[part]))
    return try body(&span)
  }
}

extension IOBuffer {
  /// The bytes `part` as the kernel's scatter and gather calls take them; valid while the buffer is
  /// held.
  func vector(_ part: Range<Int>) -> iovec {
    precondition(part.lowerBound >= 0 && part.upperBound <= count)
    return unsafe iovec(
      iov_base: memory.baseAddress?.advanced(by: part.lowerBound), iov_len: part.count)
  }
}
