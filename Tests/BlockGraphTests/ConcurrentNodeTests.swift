import BlockCore
import BlockGraph
import BlockRuntime
import Dispatch
import Glibc
import ImageFormats
import Synchronization
import TestSupport
import Testing

@Suite struct ConcurrentNodeTests {
  private static let size = 32 << 10
  private static let writers = 3

  @Test("a copy that follows the tracker misses no write, whatever writes meanwhile")
  func trackerFollowsWriters() throws {
    let memory = MemoryStorage(size: Self.size)
    let node = node(try RawImage.open(on: memory, readOnly: false))
    let tracker = DirtyTracker(size: Self.size, granularity: 1024)
    node.attach(tracker)
    let finished = Atomic<Int>(0)
    let group = DispatchGroup()
    for seed in 0..<Self.writers {
      DispatchQueue(label: "writer \(seed)").async(group: group) {
        var random = SeededGenerator(seed: UInt64(seed))
        for _ in 0..<20_000 {
          let at = Int.random(in: 0..<Self.size - 64, using: &random)
          let bytes = [UInt8](repeating: .random(in: 0...255, using: &random), count: 64)
          try? bytes.withBytes { (span) throws(BlockError) in
            try node.write(span, at: at, over: nil)
          }
        }
        finished.add(1, ordering: .releasing)
      }
    }
    var copy = [UInt8](repeating: 0, count: Self.size)
    var isLastRound = false
    while true {
      // Read first: what is dirty afterwards is all that there will ever be.
      let isFinished = finished.load(ordering: .acquiring) == Self.writers
      while let run = tracker.takeRun(from: 0, limit: 4096) {
        let bytes = try guestBytes(BackingChain([node]), run)
        copy.replaceSubrange(run.lower..<run.upper, with: bytes)
      }
      if isLastRound { break }
      isLastRound = isFinished
    }
    group.wait()
    #expect(copy == memory.contents)
    #expect(node.writeGeneration == 20_000 * Self.writers)
    #expect(tracker.dirtyBytes == 0)
  }

  @Test("writers of one cluster wait for each other, so that none undoes the other's work")
  func writersOfOneCluster() throws {
    let underneath = Crowd()
    let layer = ScriptedLayer(size: 8192, clusterSize: 8192, storage: MemoryStorage())
    let node = node(layer)
    let started = Atomic<Int>(0)
    let group = DispatchGroup()
    for index in 0..<2 {
      DispatchQueue(label: "writer \(index)").async(group: group) {
        started.add(1, ordering: .relaxed)
        while started.load(ordering: .relaxed) < 2 { sched_yield() }
        try? [UInt8](repeating: 1, count: 64).withBytes { (span) throws(BlockError) in
          try node.write(span, at: index * 64, over: underneath)
        }
      }
    }
    group.wait()
    #expect(underneath.most == 1)
  }
}

/// Zeros that stay a while with whoever reads them, and count how many are there at once.
///
/// Isolation: any thread; state behind `counts`.
private final class Crowd: BackingView {
  private let counts = Mutex((now: 0, most: 0))
  var most: Int { counts.withLock { $0.most } }

  func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) {
    counts.withLock { counts in
      counts.now += 1
      counts.most = max(counts.most, counts.now)
    }
    for _ in 0..<5000 where most == 1 { sched_yield() }
    counts.withLock { $0.now -= 1 }
    bytes.zero()
  }

  func readsZero(_ range: ByteRange) throws(BlockError) -> Bool { true }
}
