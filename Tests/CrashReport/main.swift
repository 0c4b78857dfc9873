import CrashSimulation
import Foundation
import TestSupport

for layout in CrashLayout.all {
  for operation in CrashOperation.allCases where operation.fits(layout) {
    let start = Date()
    let outcome = try await CrashTrial(layout, operation).run()
    print(
      layout, operation.rawValue, outcome.states, outcome.badViews, outcome.checkErrors,
      outcome.judgedByQemu, Int(Date().timeIntervalSince(start) * 1000), "ms",
      outcome.failure ?? "", outcome.faults)
    fflush(nil)
  }
}
