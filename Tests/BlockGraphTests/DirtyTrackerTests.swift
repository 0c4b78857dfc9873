import BlockCore
import BlockGraph
import TestSupport
import Testing

@Suite struct DirtyTrackerTests {
  @Test("a mark covers every unit that it touches, and taking a run clears it")
  func markAndTake() {
    let tracker = DirtyTracker(size: 10_000, granularity: 1024)
    tracker.mark(ByteRange(at: 1500, length: 2000))
    #expect(tracker.dirtyBytes == 3 * 1024)
    #expect(tracker.takeRun(from: 0, limit: .max) == ByteRange(from: 1024, to: 4096))
    #expect(tracker.takeRun(from: 0, limit: .max) == nil)
    #expect(tracker.dirtyBytes == 0)
  }

  @Test("the last unit counts and is returned only as far as the disk goes")
  func shortLastUnit() {
    let tracker = DirtyTracker(size: 10_000, granularity: 4096)
    tracker.mark(ByteRange(at: 9_999, length: 5000))
    #expect(tracker.dirtyBytes == 10_000 - 8192)
    #expect(tracker.takeRun(from: 0, limit: .max) == ByteRange(from: 8192, to: 10_000))
  }

  @Test("a run is no longer than the limit, but never shorter than a unit")
  func limit() {
    let tracker = DirtyTracker(size: 1 << 20, granularity: 4096)
    tracker.mark(ByteRange(at: 0, length: 1 << 20))
    #expect(tracker.takeRun(from: 0, limit: 10_000) == ByteRange(at: 0, length: 8192))
    #expect(tracker.takeRun(from: 0, limit: 1) == ByteRange(at: 8192, length: 4096))
    #expect(tracker.takeRun(from: 1 << 20, limit: 1) == nil)
  }

  @Test("clearing leaves units dirty that it covers only in part")
  func clearing() {
    let tracker = DirtyTracker(size: 5000, granularity: 1024)
    tracker.mark(ByteRange(at: 0, length: 5000))
    tracker.clear(ByteRange(at: 1, length: 2100))
    #expect(tracker.dirtyBytes == 5000 - 1024)
    tracker.clear(ByteRange(at: 4096, length: 904))
    #expect(tracker.dirtyBytes == 3072)
    #expect(tracker.takeRun(from: 0, limit: .max) == ByteRange(at: 0, length: 1024))
    #expect(tracker.takeRun(from: 1024, limit: .max) == ByteRange(at: 2048, length: 2048))
  }

  @Test("a disk too long for its bits is tracked in larger units, also the longest one")
  func largestDisk() {
    let tracker = DirtyTracker(size: Limits.diskBytes, granularity: 512)
    #expect(Limits.diskBytes / tracker.granularity <= 1 << 27)
    tracker.mark(ByteRange(at: Limits.diskBytes - 1, length: 1))
    #expect(tracker.takeRun(from: 0, limit: 1)?.upper == Limits.diskBytes)
    #expect(DirtyTracker(size: 8 << 40, granularity: 65536).granularity == 65536)
    #expect(DirtyTracker(size: 0, granularity: 512).takeRun(from: 0, limit: 1) == nil)
  }

  @Test("random marks, clears and takes agree with a model of one flag per byte")
  func model() {
    var random = SystemRandomNumberGenerator()
    let seed = random.next()
    var numbers = SeededGenerator(seed: seed)
    let size = 64 * 300 + 17
    let tracker = DirtyTracker(size: size, granularity: 64)
    var model = [Bool](repeating: false, count: size)
    for _ in 0..<2000 {
      let at = Int.random(in: 0..<size, using: &numbers)
      let length = Int.random(in: 0...min(size - at, 7000), using: &numbers)
      let range = ByteRange(at: at, length: length)
      switch Int.random(in: 0..<3, using: &numbers) {
      case 0:
        let units = range.isEmpty ? range : range.widened(to: 64)
        for byte in units.lower..<min(units.upper, size) { model[byte] = true }
        tracker.mark(range)
      case 1:
        let whole = range.upper == size
        let first = range.lower.roundedUp(to: 64)
        let end = whole ? size : range.upper.roundedDown(to: 64)
        for byte in first..<max(first, end) where byte < size { model[byte] = false }
        tracker.clear(range)
      default:
        let run = tracker.takeRun(from: at, limit: 640)
        let start = model[(at / 64 * 64)...].firstIndex(of: true)
        #expect(run?.lower == start, "seed \(seed)")
        guard let run, let start else { continue }
        let end = model[start...].firstIndex(of: false) ?? size
        #expect(run.upper == min(end, start + 640), "seed \(seed)")
        for byte in run.lower..<run.upper { model[byte] = false }
      }
      #expect(tracker.dirtyBytes == model.count { $0 }, "seed \(seed)")
    }
  }
}
