import BlockCore
import CLinux
import Synchronization

// Large writes through the page cache. The kernel lets one writer into a file at a time, and who
// waits for its turn spins: it would take the processor from whoever reads meanwhile. So large
// writes queue here, asleep. And the disk begins with them before somebody waits in a flush.
extension HostFile {
  /// A write from here on takes the kernel longer than going to sleep and waking up.
  private static let bulkBytes = 64 << 10
  /// What one request to begin covers: much for a disk, little for a job that is told to stop.
  private static let writeBackBytes = 8 << 20

  /// Runs `body`, which writes `range`, beside no other large write to the file.
  func inTurn<R: Sendable>(
    _ file: OpenFile, _ range: ByteRange, _ body: () throws(BlockError) -> R
  ) throws(BlockError) -> R {
    guard range.length >= HostFile.bulkBytes, alignment == 1, !isDevice else { return try body() }
    return try bulkWrites.withLock { () throws(BlockError) in
      let result = try body()
      for part in noteWritten(range) where !part.isEmpty && !options.noFlush {
        // What goes wrong here the next flush says.
        _ = cl_start_write_back(file.descriptor, Int64(part.lower), Int64(part.length))
      }
      return result
    }
  }

  /// Notes that `range` was written. Returns what the disk may begin with now.
  private func noteWritten(_ range: ByteRange) -> [ByteRange] {
    state.withLock { state in
      var ready: [ByteRange] = []
      if state.written.upper == range.lower {
        state.written.length += range.length
      } else {
        ready.append(state.written)
        state.written = range
      }
      if state.written.length >= HostFile.writeBackBytes {
        ready.append(state.written)
        state.written = ByteRange(at: range.upper, length: 0)
      }
      return ready
    }
  }
}
