import CrashSimulation
import ImageFormats
import TestSupport
import Testing

@Suite("Power loss")
struct CrashSmokeTests {
  /// A few shapes; `scripts/crash-report` runs all of them.
  static let layouts = [
    CrashLayout(512, version: 2, .movedL1), CrashLayout(512, .snapshot),
    CrashLayout(1024, refcountBits: 2, depth: 3, .oddSize),
  ]

  @Test(
    "whatever is lost, guests see what was flushed or what was written later",
    arguments: layouts, CrashOperation.allCases)
  func states(layout: CrashLayout, operation: CrashOperation) async throws {
    guard operation.fits(layout) else { return }
    var trial = CrashTrial(layout, operation)
    trial.effort = .smoke
    let outcome = try await trial.run()
    #expect(outcome.failure == nil)
    #expect(outcome.states > 1)
    #expect(outcome.faults == [])
    #expect(outcome.badViews + outcome.checkErrors == 0)
  }

  @Test(
    "a flush that is left out is missed",
    arguments: [
      (FlushPoint.dataAndRefcountsBeforeL2, CrashOperation.write),
      (.emptyTablesBeforeSwitch, .reset), (.switchBeforeReuse, .reset), (.final, .commitActive),
    ])
  func mutants(elided: FlushPoint, operation: CrashOperation) async throws {
    var trial = CrashTrial(CrashLayout(512), operation)
    trial.effort = .smoke
    trial.elided = elided
    trial.stopsEarly = true
    #expect(try await trial.run().isBad)
  }
}
