import BlockCore
import TestSupport

/// Judges the states of a scene: all by the oracle, some by being used, some by `qemu-img`.
///
/// Isolation: one thread.
final class CrashJudge {
  private let scene: CrashScene
  private let qemuShare: Int
  private let proof = CrashProof()
  private var era: Int?
  private var qemu: QemuJudge?
  /// One state in so many is used, or repaired again.
  private static let useShare: UInt64 = 32

  init(_ scene: CrashScene, qemuShare: Int) {
    self.scene = scene
    self.qemuShare = qemuShare
  }

  func judge(
    _ state: CrashSimulator.State, _ outcome: inout CrashTrial.Outcome
  ) throws(CrashOracle.Fault) {
    guard let expected = scene.expectation(at: state.position) else { return }
    let era = scene.era(at: state.position)
    if era != self.era { proof.expectOther() }
    self.era = era
    let oracle = CrashOracle(scene.names, state.images, proof)
    if let answer = state.answer { outcome.answers[answer, default: Share()].all += 1 }
    try oracle.judge(expected)
    if let answer = state.answer { outcome.answers[answer, default: Share()].good += 1 }
    // Before an image is made, or after it has gone, nobody uses it.
    guard expected.views[scene.top] != nil else { return }
    if state.hash % CrashJudge.useShare == 0 {
      if expected.repaired.isEmpty {
        try oracle.use(scene.top, expected)
      } else {
        try oracle.repair(scene.top, expected)
      }
    }
    if qemuShare > 0, state.hash / 64 % UInt64(qemuShare) == 0 {
      outcome.judgedByQemu += 1
      try judgeByQemu(state, expected, oracle)
    }
  }

  private func judgeByQemu(
    _ state: CrashSimulator.State, _ expected: CrashExpectation, _ oracle: CrashOracle
  ) throws(CrashOracle.Fault) {
    do {
      let judge = try qemu ?? QemuJudge(scene)
      qemu = judge
      try judge.judge(state, expected, oracle)
    } catch let fault as CrashOracle.Fault {
      throw fault
    } catch {
      throw .check("\(error)")
    }
  }
}

/// How many of some are as they should be.
///
/// Isolation: value.
package struct Share: Hashable, Sendable {
  package var good = 0
  package var all = 0

  static func += (left: inout Share, right: Share) {
    left.good += right.good
    left.all += right.all
  }
}
