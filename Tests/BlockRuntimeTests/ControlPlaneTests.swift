import BlockRuntime
import Dispatch
import Synchronization
import Testing

@Suite struct ControlPlaneTests {
  @Test("work from many threads runs one piece at a time, each thread's in its order")
  func serial() async {
    let log = ControlLog()
    let threads = 8
    let pieces = 200
    DispatchQueue.concurrentPerform(iterations: threads) { thread in
      for piece in 0..<pieces { ControlPlane.post { log.append(thread, piece) } }
    }
    let entries = await log.entries
    #expect(entries.count == threads * pieces)
    for thread in 0..<threads {
      #expect(entries.filter { $0.thread == thread }.map(\.piece) == Array(0..<pieces))
    }
  }

  @Test("an awaited call to the control plane is isolated to it")
  func awaited() async {
    let answer = await isolatedAnswer()
    #expect(answer == 42)
  }

  @Test("posting from the control plane runs the work later, not in place")
  func postIsNeverInPlace() async {
    let order = await withCheckedContinuation { continuation in
      ControlPlane.post {
        let log = Mutex([String]())
        let inner = Box(log)
        ControlPlane.post {
          inner.value.withLock { $0.append("posted") }
          continuation.resume(returning: inner.value.withLock { $0 })
        }
        inner.value.withLock { $0.append("posting") }
      }
    }
    #expect(order == ["posting", "posted"])
  }

  @Test("the isolation check stops the program on any other thread")
  func isolationCheck() async {
    await #expect(processExitsWith: .failure) { ControlPlane.preconditionIsolated() }
    await #expect(processExitsWith: .failure) {
      ControlPlane.assumeIsolated { _ = isolatedValue() }
    }
  }

  @Test("a typed error leaves assumeIsolated as it is")
  @ControlPlane func typedError() {
    struct Failure: Error {}
    #expect(throws: Failure.self) {
      try ControlPlane.assumeIsolated { () throws(Failure) in throw Failure() }
    }
  }
}

@ControlPlane private func isolatedValue() -> Int { 42 }

@ControlPlane private func isolatedAnswer() -> Int {
  ControlPlane.preconditionIsolated()
  ControlPlane.shared.preconditionIsolated()
  return isolatedValue()
}

/// What ran on the control plane, in its order.
@ControlPlane private final class ControlLog {
  private(set) var entries: [(thread: Int, piece: Int)] = []

  nonisolated init() {}

  func append(_ thread: Int, _ piece: Int) { entries.append((thread, piece)) }
}
