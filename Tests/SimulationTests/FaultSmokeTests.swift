import CrashSimulation
import TestSupport
import Testing

@Suite("System calls that fail")
struct FaultSmokeTests {
  @Test(
    "an error is told by its number and loses nothing; a call that is cut short is no error",
    arguments: [CrashOperation.write, .resize, .reset, .commitIntermediate, .repairAll, .stream],
    FaultTrial.Kind.allCases)
  func faults(operation: CrashOperation, kind: FaultTrial.Kind) async throws {
    let hasMiddle = [.commitIntermediate, .stream].contains(operation)
    try await run(operation, CrashLayout(4096, depth: hasMiddle ? 3 : 2), kind)
  }

  @Test("so it is with copies from file to file", arguments: FaultTrial.Kind.allCases)
  func copies(kind: FaultTrial.Kind) async throws {
    #expect(try await run(.commitActive, CrashLayout(4096, .fileCopy), kind) > 0)
  }

  /// Returns how many bytes went from file to file without a fault.
  @discardableResult
  private func run(
    _ operation: CrashOperation, _ layout: CrashLayout, _ kind: FaultTrial.Kind
  ) async throws -> Int {
    let chain = try operation.prepare(layout.build())
    let directory = try TemporaryDirectory.inMemory()
    var trial = FaultTrial(layout, operation, kind, after: .max, lasts: false)
    let sound = try await trial.run(on: chain, in: directory)
    let calls = sound.calls
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
    return sound.copiedBytes
  }
}
