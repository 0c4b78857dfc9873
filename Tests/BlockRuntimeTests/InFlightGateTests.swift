import BlockRuntime
import Dispatch
import Synchronization
import Testing

@Suite struct InFlightGateTests {
  @Test("an empty gate drains at once, and again after it was opened")
  @ControlPlane func empty() async {
    let gate = InFlightGate()
    for _ in 0..<2 {
      await gate.drained()
      gate.resume()
    }
    gate.enter()
    gate.leave()
  }

  @Test("drain calls back only when the last request has left; later ones wait for resume")
  @ControlPlane func drain() async {
    let gate = InFlightGate()
    let log = Box(Mutex([String]()))
    gate.enter()
    gate.enter()
    let late = DispatchSemaphore(value: 0)
    await withCheckedContinuation { continuation in
      gate.drain {
        log.value.withLock { $0.append("drained") }
        continuation.resume()
      }
      Lane(label: "late").run {
        gate.enter()
        log.value.withLock { $0.append("entered") }
        gate.leave()
        late.signal()
      }
      Lane(label: "leaver").run {
        log.value.withLock { $0.append("left") }
        gate.leave()
        log.value.withLock { $0.append("left") }
        gate.leave()
      }
    }
    log.value.withLock { $0.append("resumed") }
    gate.resume()
    await withCheckedContinuation { continuation in
      Lane(label: "waiter").run {
        late.wait()
        continuation.resume()
      }
    }
    #expect(log.value.withLock { $0 } == ["left", "left", "drained", "resumed", "entered"])
  }

  @Test("with two drains the gate opens at the second resume")
  @ControlPlane func nested() async {
    let gate = InFlightGate()
    await gate.drained()
    await gate.drained()
    let entered = Box(Atomic(false))
    let done = DispatchSemaphore(value: 0)
    gate.resume()
    Lane(label: "entrant").run {
      gate.enter()
      entered.value.store(true, ordering: .sequentiallyConsistent)
      gate.leave()
      done.signal()
    }
    // Still closed: had the entrant been let in, this drain would have had to wait for it.
    await gate.drained()
    let early = entered.value.load(ordering: .sequentiallyConsistent)
    #expect(!early)
    gate.resume()
    gate.resume()
    await withCheckedContinuation { continuation in
      Lane(label: "waiter").run {
        done.wait()
        continuation.resume()
      }
    }
    let late = entered.value.load(ordering: .sequentiallyConsistent)
    #expect(late)
  }

  @Test("no request is inside while the gate is drained, whatever the threads do")
  @ControlPlane func exclusion() async {
    let gate = InFlightGate()
    let inside = Box(Atomic(0))
    let group = DispatchGroup()
    for _ in 0..<4 {
      group.enter()
      Lane(label: "requests").run {
        for _ in 0..<2000 {
          gate.enter()
          inside.value.add(1, ordering: .sequentiallyConsistent)
          inside.value.subtract(1, ordering: .sequentiallyConsistent)
          gate.leave()
        }
        group.leave()
      }
    }
    for _ in 0..<100 {
      await gate.drained()
      let count = inside.value.load(ordering: .sequentiallyConsistent)
      #expect(count == 0)
      gate.resume()
    }
    await withCheckedContinuation { continuation in
      Lane(label: "waiter").run {
        group.wait()
        continuation.resume()
      }
    }
  }

  @Test("leaving without having entered, and resuming without a drain, stop the program")
  func misuse() async {
    await #expect(processExitsWith: .failure) { InFlightGate().leave() }
    await #expect(processExitsWith: .failure) { InFlightGate().resume() }
  }
}

extension InFlightGate {
  /// Closes the gate and waits until it is empty.
  @ControlPlane fileprivate func drained() async {
    await withCheckedContinuation { continuation in
      drain { continuation.resume() }
    }
  }
}
