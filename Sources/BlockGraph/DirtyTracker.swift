package import BlockCore
import Synchronization

/// Remembers which parts of a disk were written and not yet copied, in units of `granularity`.
///
/// A copy loop takes a run, which clears it, and only then reads the bytes, under the node's shared
/// range lock. A writer marks while it still holds its exclusive lock. So a write that the loop's
/// read missed is marked after the loop took the run, and is found again: nothing is ever lost.
///
/// Isolation: any thread; state behind `bitmap`.
package final class DirtyTracker: Sendable {
  /// 16 MiB of bits: 8 TiB in units of 64 KiB. Longer disks are tracked in larger units.
  private static let largestCount = 1 << 27

  /// Bytes for which one bit stands, a power of two.
  package let granularity: Int
  /// The disk's length in bytes; what lies beyond is not tracked.
  package let size: Int
  private let bitmap: Mutex<DirtyBitmap>

  /// Tracks a disk of `size` bytes, all clean, in units of `granularity` (a power of two) or, where
  /// that would need more than 16 MiB of memory, the smallest larger power of two that does not.
  package init(size: Int, granularity: Int) {
    precondition(granularity.isPowerOfTwo && size >= 0)
    var unit = granularity
    while size.dividedRoundingUp(by: unit) > DirtyTracker.largestCount { unit *= 2 }
    self.size = size
    self.granularity = unit
    bitmap = Mutex(DirtyBitmap(count: size.dividedRoundingUp(by: unit)))
  }

  /// Bytes in dirty units; the last unit counts only as far as the disk goes.
  package var dirtyBytes: Int {
    bitmap.withLock { bitmap in
      guard bitmap.dirtyCount > 0 else { return 0 }
      let last = bitmap.count - 1
      guard bitmap.isDirty(last) else { return bitmap.dirtyCount * granularity }
      return (bitmap.dirtyCount - 1) * granularity + (size - last * granularity)
    }
  }

  /// Marks every unit that `range` touches.
  package func mark(_ range: ByteRange) {
    let inside = range.intersection(disk)
    guard !inside.isEmpty else { return }
    let units = inside.lower / granularity..<inside.upper.dividedRoundingUp(by: granularity)
    bitmap.withLock { $0.set(units, to: true) }
  }

  /// Marks as clean every unit that lies wholly in `range`.
  package func clear(_ range: ByteRange) {
    let inside = range.intersection(disk)
    let first = inside.lower.dividedRoundingUp(by: granularity)
    let end =
      inside.upper == size
      ? size.dividedRoundingUp(by: granularity) : inside.upper / granularity
    guard first < end else { return }
    bitmap.withLock { $0.set(first..<end, to: false) }
  }

  /// Clears and returns the first dirty run at or after `offset`, at most `limit` bytes long (but
  /// at least one unit) and cut at the disk's end; nil where nothing from there on is dirty.
  package func takeRun(from offset: Int, limit: Int) -> ByteRange? {
    let most = max(limit / granularity, 1)
    return bitmap.withLock { bitmap in
      guard let run = bitmap.firstRun(from: offset / granularity, limit: most) else { return nil }
      bitmap.set(run, to: false)
      let end = run.upperBound == bitmap.count ? size : run.upperBound * granularity
      return ByteRange(from: run.lowerBound * granularity, to: end)
    }
  }

  private var disk: ByteRange { ByteRange(at: 0, length: size) }
}
