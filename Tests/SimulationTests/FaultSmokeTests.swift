import CrashSimulation
import TestSupport
import Testing

@Suite("System calls that fail")
struct FaultSmokeTests {
  @Test(
    "an error is told by its number and loses nothing; a call that is cut short is no error",
    arguments: [CrashOperation.write, .resize, .reset, .commitIntermediate, .repairAll],
    FaultTrial.Kind.allCases)
  func faults(operation: CrashOperation, kind: FaultTrial.Kind) async throws {
    let layout = CrashLayout(4096, depth: operation == .commitIntermediate ? 3 : 2)
    let chain = try operation.prepare(layout.build())
    let directory = try TemporaryDirectory.inMemory()
    var trial = FaultTrial(layout, operation, kind, after: .max, lasts: false)
    let calls = try await trial.run(on: chain, in: directory).calls
    #expect(calls > 3)
    for place in stride(from: 0, to: calls, by: max(1, calls / 6)) {
      for lasts in [false, true] {
        trial.after = place
        trial.lasts = lasts
        let outcome = try await trial.run(on: chain, in: directory)
        #expect(outcome.failures > 0)
        #expect(outcome.fault == nil, "call \(place), lasting: \(lasts)")
      }
    }
  }
}
