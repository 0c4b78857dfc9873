import BlockCore
import Testing

@testable import BlockJobs

@Suite("on-error")
struct ErrorPolicyTests {
  @Test("each policy does what QEMU's does")
  func actions() {
    let full = BlockError(.noSpace, "No space left on device")
    let broken = BlockError(.io, "Input/output error")
    let expected: [(ErrorPolicy, ErrorAction, ErrorAction)] = [
      (.report, .report, .report), (.ignore, .ignore, .ignore), (.stop, .stop, .stop),
      (.enospc, .stop, .report), (.auto, .stop, .report),
    ]
    for (policy, onFull, onBroken) in expected {
      #expect(policy.action(for: full) == onFull)
      #expect(policy.action(for: broken) == onBroken)
    }
    #expect(expected.count == ErrorPolicy.allCases.count)
    #expect(IOStatus(full) == .noSpace)
    #expect(IOStatus(broken) == .failed)
  }

  @Test("only a full device holds a job up: a quota and a file that is too long are failures")
  func quota() {
    for (errno, action) in [(28, .stop), (122, .report), (27, .report)] as [(Int32, ErrorAction)] {
      let error = BlockError(.noSpace, "no room", errno: errno)
      #expect(ErrorPolicy.enospc.action(for: error) == action)
      #expect(ErrorPolicy.auto.action(for: error) == action)
      #expect(IOStatus(error) == (action == .stop ? .noSpace : .failed))
    }
  }

  @Test("after a failed flush every policy gives up", arguments: ErrorPolicy.allCases)
  func poisoned(policy: ErrorPolicy) {
    #expect(policy.action(for: BlockError(.poisoned, "an earlier flush failed")) == .report)
  }

  @Test("a refusal is not a failed request: no policy repeats it", arguments: ErrorPolicy.allCases)
  func refusal(policy: ErrorPolicy) {
    #expect(policy.action(for: BlockError(.unsupported, "cannot")) == nil)
    #expect(policy.action(for: BlockError(.locked, "held")) == nil)
  }

  @Test("tries again after ever longer times, up to a second")
  func backoff() {
    var backoff = RetryBackoff()
    let delays = (0..<9).map { _ in backoff.delay() / 1_000_000 }
    #expect(delays == [10, 20, 40, 80, 160, 320, 640, 1000, 1000])
    backoff.reset()
    #expect(backoff.delay() == 10_000_000)
  }
}
