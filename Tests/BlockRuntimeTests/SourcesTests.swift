import BlockRuntime
import Glibc
import Testing

@Suite struct SourcesTests {
  @Test("timers fire once, on the control plane, in the order of their times")
  @ControlPlane func timers() async {
    var fired: [Int] = []
    var timers: [ControlTimer] = []
    await withCheckedContinuation { continuation in
      for step in [3, 1, 2] {
        timers.append(
          ControlTimer(after: .milliseconds(20 * step)) {
            ControlPlane.preconditionIsolated()
            fired.append(step)
            if step == 3 { continuation.resume() }
          })
      }
    }
    #expect(fired == [1, 2, 3])
  }

  @Test("a timer that was cancelled, or let go, does not fire even when its time has come")
  @ControlPlane func cancelledTimer() async {
    var fired = 0
    let cancelled = ControlTimer(after: .zero) { fired += 1 }
    cancelled.cancel()
    _ = ControlTimer(after: .seconds(-1)) { fired += 1 }
    var last: ControlTimer?
    await withCheckedContinuation { continuation in
      last = ControlTimer(after: .milliseconds(5)) { continuation.resume() }
    }
    last?.cancel()
    #expect(fired == 0)
  }

  @Test("a read source fires while bytes wait, and a suspended one does not")
  @ControlPlane func readiness() async {
    let pipe = Pipe()
    pipe.write([1, 2, 3])
    var seen: [UInt8] = []
    var source: ReadinessSource?
    await withCheckedContinuation { continuation in
      source = ReadinessSource(pipe.readEnd, .read) {
        seen.append(pipe.readByte())
        guard seen.count == 3 else { return }
        source?.suspend()
        continuation.resume()
      }
      source?.resume()
    }
    pipe.write([4])
    let writable = await withCheckedContinuation { continuation in
      var writer: ReadinessSource?
      writer = ReadinessSource(pipe.writeEnd, .write) {
        writer?.cancel { continuation.resume(returning: true) }
        writer = nil
      }
      writer?.resume()
    }
    #expect(writable)
    #expect(seen == [1, 2, 3])
    await withCheckedContinuation { continuation in
      source?.cancel { continuation.resume() }
    }
    #expect(pipe.readByte() == 4)
  }

  @Test("a source that never ran may be let go")
  @ControlPlane func idleSource() {
    let pipe = Pipe()
    _ = ReadinessSource(pipe.readEnd, .read) {}
    _ = ReadinessSource(pipe.writeEnd, .write) {}
  }

  @Test("every signal reaches its handler instead of ending the process")
  @ControlPlane func signals() async {
    var source: SignalSource?
    var seen = 0
    await withCheckedContinuation { continuation in
      source = SignalSource(SIGUSR1) {
        seen += 1
        if seen == 3 { continuation.resume() } else { kill(getpid(), SIGUSR1) }
      }
      kill(getpid(), SIGUSR1)
    }
    withExtendedLifetime(source) {}
    #expect(seen == 3)
  }

  @Test("a signal has its default effect again when its source is gone")
  @ControlPlane func signalGone() {
    #expect(hasDefaultEffect(SIGUSR2))
    var source: SignalSource? = SignalSource(SIGUSR2) {}
    #expect(!hasDefaultEffect(SIGUSR2))
    withExtendedLifetime(source) {}
    source = nil
    #expect(hasDefaultEffect(SIGUSR2))
  }

  @Test("an ignored signal does nothing")
  func ignored() async {
    await #expect(processExitsWith: .success) {
      SignalSource.ignore(SIGHUP)
      kill(getpid(), SIGHUP)
    }
  }
}

private func hasDefaultEffect(_ signal: Int32) -> Bool {
  var action = sigaction()
  return sigaction(signal, nil, &action) == 0 && action.__sigaction_handler.sa_handler == nil
}

/// A pipe with both ends open.
private final class Pipe: Sendable {
  let readEnd: Int32
  let writeEnd: Int32

  init() {
    var ends: [Int32] = [-1, -1]
    precondition(pipe(&ends) == 0)
    // A child that starts meanwhile must not hold an end.
    for end in ends { precondition(fcntl(end, F_SETFD, FD_CLOEXEC) == 0) }
    readEnd = ends[0]
    writeEnd = ends[1]
  }

  deinit {
    close(readEnd)
    close(writeEnd)
  }

  func write(_ bytes: [UInt8]) {
    precondition(Glibc.write(writeEnd, bytes, bytes.count) == bytes.count)
  }

  func readByte() -> UInt8 {
    var byte: UInt8 = 0
    precondition(read(readEnd, &byte, 1) == 1)
    return byte
  }
}
