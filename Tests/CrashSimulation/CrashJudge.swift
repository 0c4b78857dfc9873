import BlockCore
import TestSupport

/// Judges the states of a scene: all by the oracle, some by being used, some by `qemu-img`.
///
/// Isolation: one thread.
final class CrashJudge {
  private let scene: CrashScene
  private let qemuShare: Int
  private var directory: TemporaryDirectory?
  /// Hashes of images whose refcounts are right.
  private var sound: Set<UInt64> = []
  /// One state in so many is used.
  private static let useShare: UInt64 = 32

  init(_ scene: CrashScene, qemuShare: Int) {
    self.scene = scene
    self.qemuShare = qemuShare
  }

  func judge(
    _ state: CrashSimulator.State, _ outcome: inout CrashTrial.Outcome
  ) throws(CrashOracle.Fault) {
    guard let expected = scene.expectation(at: state.position) else { return }
    let oracle = CrashOracle(scene.names, state.images)
    try oracle.judge(expected, sound: &sound)
    // Before an image is made, or after it has gone, nobody uses it.
    guard expected.views[scene.top] != nil else { return }
    if state.hash % CrashJudge.useShare == 0 { try oracle.use(scene.top) }
    if qemuShare > 0, state.hash / 64 % UInt64(qemuShare) == 0 {
      outcome.judgedByQemu += 1
      try judgeByQemu(state, expected, oracle)
    }
  }

  private func judgeByQemu(
    _ state: CrashSimulator.State, _ expected: CrashExpectation, _ oracle: CrashOracle
  ) throws(CrashOracle.Fault) {
    do {
      let directory = try self.directory ?? TemporaryDirectory()
      self.directory = directory
      for (index, (name, image)) in zip(scene.names, state.images).enumerated() {
        try directory.write(image.bytes, to: name)
        if image.hash == scene.initial[index].hash { continue }
        // A leak (3) is allowed.
        let check = try QemuTools.img("check", "-q", "-f", "qcow2", directory.file(name))
        guard [0, 3].contains(check.status) || expected.unneeded.contains(name) else {
          throw CrashOracle.Fault.check("qemu-img check of \(name): \(check.output)")
        }
      }
      guard expected.links.isEmpty, try oracle.size(of: scene.top) <= CrashView.looksAt else {
        return
      }
      try directory.write(try oracle.view(scene.top).bytes, to: "view")
      let compare = try QemuTools.img(
        "compare", "-f", "qcow2", "-F", "raw", directory.file(scene.top), directory.file("view"))
      guard compare.status == 0 else {
        throw CrashOracle.Fault.view("qemu-img compare: \(compare.output)")
      }
    } catch let fault as CrashOracle.Fault {
      throw fault
    } catch {
      throw .check("\(error)")
    }
  }
}
