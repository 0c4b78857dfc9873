import BlockCore
import BlockRuntime
import Dispatch
import Glibc
import Synchronization
import Testing

@Suite struct LanePoolTests {
  @Test("64 steps stuck on one device do not keep another device waiting")
  func stuckDevice() {
    let pool = LanePool(lanes: 64, budget: 8)
    let release = DispatchSemaphore(value: 0)
    let ended = DispatchGroup()
    for _ in 0..<64 { pool.run(on: stuck, in: ended) { release.wait() } }

    let others = DispatchGroup()
    for _ in 0..<100 { pool.run(on: healthy, in: others) {} }
    others.wait()

    for _ in 0..<64 { release.signal() }
    ended.wait()
  }

  @Test("steps that hang between two devices leave lanes to each of them, and to others with it")
  func stuckBetween() {
    let pool = LanePool(lanes: 64, budget: 8)
    let release = DispatchSemaphore(value: 0)
    let ended = DispatchGroup()
    let between = DeviceKey(joining: [stuck, healthy])
    for _ in 0..<64 { pool.run(on: between, in: ended) { release.wait() } }

    let others = DispatchGroup()
    let third = DeviceKey(3)
    for _ in 0..<100 {
      pool.run(on: healthy, in: others) {}
      pool.run(on: DeviceKey(joining: [third, healthy, third]), in: others) {}
    }
    others.wait()
    #expect(pool.isHeldUp(stuck, longerThan: .zero) && pool.isHeldUp(healthy, longerThan: .zero))
    // A lane notes the end of a step after those who wait for the step hear of it.
    while pool.isHeldUp(third, longerThan: .zero) { sched_yield() }

    for _ in 0..<64 { release.signal() }
    ended.wait()
  }

  /// Runs 64 steps with the keys that hang, and then some with each of those that must not; returns
  /// how many of the first began.
  private func hang(
    _ hanging: (Int) -> DeviceKey, besides others: [DeviceKey]
  ) -> Int {
    let pool = LanePool(lanes: 32, budget: 2)
    let release = DispatchSemaphore(value: 0)
    let ended = DispatchGroup()
    let begun = Box(Atomic(0))
    for step in 0..<64 {
      pool.run(on: hanging(step), in: ended) {
        begun.value.add(1, ordering: .relaxed)
        release.wait()
      }
    }
    let rest = DispatchGroup()
    for _ in 0..<50 {
      for key in others { pool.run(on: key, in: rest) {} }
    }
    rest.wait()
    let count = begun.value.load(ordering: .relaxed)
    for _ in 0..<64 { release.signal() }
    ended.wait()
    let total = begun.value.load(ordering: .relaxed)
    #expect(total == 64)
    return count
  }

  @Test("steps that hang between one device and many others leave half of the lanes")
  func stuckWithMany() {
    let opening = DeviceKey(opening: "/d/f")
    let begun = hang(
      { DeviceKey(joining: [stuck, DeviceKey(UInt64(10 + $0))]) }, besides: [healthy, opening])
    #expect(begun <= 16)
  }

  @Test("openings that hang in one directory leave those in others lanes, and in many other steps")
  func stuckOpenings() {
    let pair = DeviceKey(joining: [healthy, DeviceKey(3)])
    let elsewhere = DeviceKey(opening: "/other/f")
    let one = hang({ DeviceKey(opening: "/d/\($0)") }, besides: [healthy, pair, elsewhere])
    #expect(one <= 4)
    let many = hang({ DeviceKey(opening: "/\($0)/f") }, besides: [healthy, pair])
    #expect(many <= 8)
    // The file's device is one more.
    let overlays = hang(
      { DeviceKey(joining: [healthy, DeviceKey(opening: "/d/\($0)")]) },
      besides: [healthy, pair, elsewhere])
    #expect(overlays <= 4)
  }

  @Test("10,000 steps that ask several devices all run")
  func manyShared() {
    let pool = LanePool(lanes: 8, budget: 1)
    let ended = DispatchGroup()
    for step in 0..<10_000 {
      let keys = [step % 5, step % 7, step % 3 + 20].map { DeviceKey(UInt64($0)) }
      pool.run(on: DeviceKey(joining: keys), in: ended) {}
      pool.run(on: keys[step % 3], in: ended) {}
    }
    ended.wait()
  }

  @Test("a device never has more than its budget of steps running, and all of its budget")
  func budget() {
    let devices = Array(repeating: stuck, count: 20)
    #expect(highest(in: LanePool(lanes: 16, budget: 3), reaching: 3, on: devices) == 3)
  }

  @Test("all devices together never have more steps running than there are lanes")
  func total() {
    let devices = (0..<50).map { DeviceKey(UInt64($0 / 5)) }
    #expect(highest(in: LanePool(lanes: 4, budget: 3), reaching: 4, on: devices) == 4)
  }

  /// The most steps that ran at once, of one on each of `devices`, where each waits until `count`
  /// of them have been seen to run.
  private func highest(in pool: LanePool, reaching count: Int, on devices: [DeviceKey]) -> Int {
    let running = DispatchSemaphore(value: 0)
    let release = DispatchSemaphore(value: 0)
    let ended = DispatchGroup()
    let gauge = Box(Gauge())
    for device in devices {
      pool.run(on: device, in: ended) {
        gauge.value.enter()
        running.signal()
        release.wait()
        gauge.value.leave()
      }
    }
    for _ in 0..<count { running.wait() }
    for _ in devices { release.signal() }
    ended.wait()
    return gauge.value.highest
  }

  @Test("with one lane, the steps of a device keep their order and devices take turns")
  func turns() {
    let pool = LanePool(lanes: 1, budget: 1)
    let release = DispatchSemaphore(value: 0)
    let ended = DispatchGroup()
    let log = Box(Mutex([String]()))
    pool.run(on: DeviceKey(0), in: ended) { release.wait() }
    for step in 1...3 {
      for device in 1...2 {
        pool.run(on: DeviceKey(UInt64(device)), in: ended) {
          log.value.withLock { $0.append("\(device).\(step)") }
        }
      }
    }
    release.signal()
    ended.wait()
    #expect(log.value.withLock { $0 } == ["1.1", "2.1", "1.2", "2.2", "1.3", "2.3"])
  }

  @Test("a step that began after the time was looked at has not run long")
  func beganMeanwhile() {
    let pool = LanePool(lanes: 1, budget: 1, clock: BackwardClock())
    let release = DispatchSemaphore(value: 0)
    let ended = DispatchGroup()
    pool.run(on: stuck, in: ended) { release.wait() }
    #expect(!pool.isHeldUp(stuck, longerThan: .zero))
    release.signal()
    ended.wait()
  }

  @Test("10,000 queued steps all run, and a step may queue the next one")
  func many() {
    let pool = LanePool(lanes: 4, budget: 2)
    let ended = DispatchGroup()
    let count = Box(Atomic(0))
    for step in 0..<10_000 {
      pool.run(on: DeviceKey(UInt64(step % 7)), in: ended) {
        pool.run(on: DeviceKey(UInt64(step % 5)), in: ended) {
          count.value.add(1, ordering: .relaxed)
        }
      }
    }
    ended.wait()
    let total = count.value.load(ordering: .relaxed)
    #expect(total == 10_000)
  }

  @Test("an awaited step answers the control plane with its value or its error")
  @ControlPlane func perform() async {
    let value = await LanePool.shared.perform(on: healthy) { () throws(BlockError) in 7 }
    ControlPlane.preconditionIsolated()
    #expect(value == .success(7))
    let failure = BlockError(.io, "Input/output error", errno: 5)
    let error = await LanePool.shared.perform(on: healthy) { () throws(BlockError) -> Int in
      throw failure
    }
    #expect(error == .failure(failure))
    let alone = await Lane(label: "test").perform { () throws(BlockError) in 8 }
    #expect(alone == .success(8))
  }
}

private let stuck = DeviceKey(1)
private let healthy = DeviceKey(2)

extension LanePool {
  /// Runs `step`, which `group` then counts.
  fileprivate func run(
    on key: DeviceKey, in group: DispatchGroup, _ step: @escaping @Sendable () -> Void
  ) {
    group.enter()
    run(on: key) {
      step()
      group.leave()
    }
  }
}

/// Each reading is before the one that was taken last, as readings of two threads may be.
private final class BackwardClock: MonotonicClock {
  private let next = Atomic<UInt64>(1000)

  var nanoseconds: UInt64 { next.wrappingSubtract(1, ordering: .relaxed).newValue }
}

/// How many are inside at once, and the most that ever were.
private final class Gauge: Sendable {
  private let state = Mutex((now: 0, highest: 0))

  var highest: Int { state.withLock { $0.highest } }

  func enter() {
    state.withLock { state in
      state.now += 1
      state.highest = max(state.highest, state.now)
    }
  }

  func leave() { state.withLock { $0.now -= 1 } }
}
