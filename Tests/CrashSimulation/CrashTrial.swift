import BlockCore
package import ImageFormats
package import TestSupport

/// One operation on one layout, and all the states in which it can be interrupted.
///
/// Isolation: value.
package struct CrashTrial: Sendable {
  /// What came of it.
  package struct Outcome: Sendable {
    /// Hashes of different states.
    package var states: Set<UInt64> = []
    package var badViews = 0
    package var checkErrors = 0
    /// The first faults, in words.
    package var faults: [String] = []
    /// States that `qemu-img` judged too.
    package var judgedByQemu = 0
    /// By what the world was told: how often it held of what was durable by then.
    package var answers: [String: Share] = [:]
    /// Why the operation did not come to its end.
    package var failure: String?

    /// Whether a power loss leaves what it must not. That the operation itself fails shows nothing
    /// of the kind.
    package var hasBadState: Bool { badViews + checkErrors > 0 }
  }

  package var layout: CrashLayout
  package var operation: CrashOperation
  package var effort = CrashSimulator.Effort()
  package var elided: FlushPlace?
  /// Whether to stop at the first bad state.
  package var stopsEarly = false
  /// One state in so many goes through `qemu-img`; 0 for none.
  package var qemuShare = 100

  /// A trial with all defaults.
  package init(_ layout: CrashLayout, _ operation: CrashOperation) {
    self.layout = layout
    self.operation = operation
    // Of each leak qemu-img makes a line.
    if layout.isVast { qemuShare = 1000 }
  }

  private func makeScene() throws -> CrashScene {
    CrashScene(
      try operation.prepare(layout.build()), eliding: elided, budget: layout.makeBudget(),
      fileRunBytes: layout.fileRunBytes)
  }

  /// Runs the operation alone, and counts its flushes.
  package func flushes() async throws -> Int {
    let scene = try makeScene()
    try await operation.run(in: scene, seed: effort.seed)
    return scene.log.entries.count { $0.event == .flushed }
  }

  /// Runs it.
  package func run() async throws -> Outcome {
    let scene = try makeScene()
    var outcome = Outcome()
    do {
      try await operation.run(in: scene, seed: effort.seed)
    } catch {
      // A flush that is missing may show in the operation itself.
      outcome.failure = "\(error)"
    }
    let judge = CrashJudge(scene, qemuShare: qemuShare)
    var simulator = CrashSimulator(
      zip(scene.names, scene.initial).map { ($0, $1) }, scene.log.entries, effort
    ) { state in
      do throws(CrashOracle.Fault) {
        try judge.judge(state, &outcome)
      } catch {
        if case .view = error { outcome.badViews += 1 } else { outcome.checkErrors += 1 }
        if outcome.faults.count < 3 { outcome.faults.append("after \(state.position): \(error)") }
        return !stopsEarly
      }
      return true
    }
    simulator.run(borders: Set(scene.expectations.map(\.position)))
    outcome.states = simulator.distinct
    return outcome
  }
}
