import BlockCore
import BlockRuntime
import Dispatch
import Synchronization
import TestSupport
import Testing

@Suite struct RangeLockTests {
  @Test("an exclusive lock waits for an overlapping holder, other ranges do not")
  func exclusive() {
    let lock = RangeLock()
    let inside = DispatchSemaphore(value: 0)
    let release = DispatchSemaphore(value: 0)
    let threads = Threads()
    let log = Box(Mutex([String]()))
    threads.start {
      lock.withLock(ByteRange(at: 0, length: 10), .exclusive) {
        inside.signal()
        release.wait()
        log.value.withLock { $0.append("first") }
      }
    }
    inside.wait()
    threads.start {
      lock.withLock(ByteRange(at: 9, length: 1), .shared) {
        log.value.withLock { $0.append("second") }
      }
    }
    lock.withLock(ByteRange(at: 10, length: 10), .exclusive) {}
    lock.withLock(ByteRange(at: 5, length: 0), .exclusive) {}
    release.signal()
    threads.join()
    #expect(log.value.withLock { $0 } == ["first", "second"])
  }

  @Test("shared locks hold the same range together")
  func shared() {
    let lock = RangeLock()
    let arrived = DispatchSemaphore(value: 0)
    let release = DispatchSemaphore(value: 0)
    let threads = Threads()
    for _ in 0..<4 {
      threads.start {
        lock.withLock(ByteRange(at: 0, length: 4096), .shared) {
          arrived.signal()
          release.wait()
        }
      }
    }
    // All four are inside before the first may leave.
    for _ in 0..<4 { arrived.wait() }
    for _ in 0..<4 { release.signal() }
    threads.join()
  }

  @Test("the error of the body comes out, and the lock is free again")
  func error() {
    struct Failure: Error {}
    let lock = RangeLock()
    let range = ByteRange(at: 0, length: 1)
    #expect(throws: Failure.self) {
      try lock.withLock(range, .exclusive) { () throws(Failure) in throw Failure() }
    }
    #expect(lock.withLock(range, .exclusive) { 1 } == 1)
  }

  /// The model: for every byte, how many readers and writers are inside. Every body checks it at
  /// its beginning and end.
  @Test("random ranges and modes on many threads never break exclusion", arguments: [1, 2, 3])
  func model(seed: UInt64) {
    let lock = RangeLock()
    let threads = Threads()
    let bytes = 32
    let model = Box(Mutex(Occupancy(bytes: bytes)))
    for thread in 0..<8 {
      threads.start {
        var random = SeededGenerator(seed: seed &* 1000 &+ UInt64(thread))
        for _ in 0..<2000 {
          let lower = Int.random(in: 0..<bytes, using: &random)
          let upper = Int.random(in: lower...bytes, using: &random)
          let range = ByteRange(from: lower, to: upper)
          let mode: RangeLock.Mode = Bool.random(using: &random) ? .shared : .exclusive
          lock.withLock(range, mode) {
            model.value.withLock { $0.enter(range, mode) }
            model.value.withLock { $0.leave(range, mode) }
          }
        }
      }
    }
    threads.join()
    #expect(model.value.withLock { $0.conflicts } == 0)
    #expect(model.value.withLock { $0.entered } == 16_000)
  }
}

/// Threads of the test, each a lane.
private final class Threads: Sendable {
  private let group = DispatchGroup()

  func start(_ work: @escaping @Sendable () -> Void) {
    group.enter()
    Lane(label: "test").run { [group] in
      work()
      group.leave()
    }
  }

  func join() { group.wait() }
}

/// Who is inside which byte.
private struct Occupancy {
  private var readers: [Int]
  private var writers: [Int]
  var conflicts = 0
  var entered = 0

  init(bytes: Int) {
    readers = Array(repeating: 0, count: bytes)
    writers = Array(repeating: 0, count: bytes)
  }

  mutating func enter(_ range: ByteRange, _ mode: RangeLock.Mode) {
    entered += 1
    for byte in range.lower..<range.upper {
      if writers[byte] > 0 || mode == .exclusive && readers[byte] > 0 { conflicts += 1 }
      if mode == .shared { readers[byte] += 1 } else { writers[byte] += 1 }
    }
  }

  mutating func leave(_ range: ByteRange, _ mode: RangeLock.Mode) {
    for byte in range.lower..<range.upper {
      if mode == .shared { readers[byte] -= 1 } else { writers[byte] -= 1 }
    }
  }
}
