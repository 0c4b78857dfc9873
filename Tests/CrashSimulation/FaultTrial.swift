import BlockCore
import BlockIO
import CFaults
import Glibc
package import TestSupport

/// An operation on real files in which a system call fails, or does only a part of its work.
///
/// Isolation: value.
package struct FaultTrial: Sendable {
  /// What befalls a call.
  package enum Kind: String, CaseIterable, Sendable {
    case io = "EIO"
    case noSpace = "ENOSPC"
    case interrupted = "EINTR"
    case short = "short"

    fileprivate var number: Int32 {
      switch self {
      case .io: EIO
      case .noSpace: ENOSPC
      case .interrupted: EINTR
      case .short: 0
      }
    }
    /// Whether whoever calls just goes on.
    fileprivate var isHarmless: Bool { self == .interrupted || self == .short }
  }
  /// What came of it.
  package struct Outcome: Sendable {
    /// Calls that could have failed so.
    package var calls = 0
    /// Calls that did.
    package var failures = 0
    /// Bytes that went from file to file inside the kernel.
    package var copiedBytes = 0
    /// What is wrong; nil where all is well.
    package var fault: String?
  }

  package var layout: CrashLayout
  package var operation: CrashOperation
  package var kind: Kind
  /// How many calls come through before.
  package var after: Int
  /// Whether all later calls fail too.
  package var lasts: Bool
  package var seed: UInt64 = 1

  /// The `after`-th call of all that could fail so does.
  package init(
    _ layout: CrashLayout, _ operation: CrashOperation, _ kind: Kind, after: Int, lasts: Bool
  ) {
    self.layout = layout
    self.operation = operation
    self.kind = kind
    self.after = after
    self.lasts = lasts
  }

  /// Runs it on `chain`, the layout's files made ready for the operation, in `directory`.
  package func run(
    on chain: [(name: String, image: CrashImage)], in directory: TemporaryDirectory
  ) async throws -> Outcome {
    var files: [HostFile] = []
    for file in chain {
      let path = try directory.write(file.image, to: file.name)
      files.append(try HostFile.open(path, HostFileOptions(locking: .off)))
    }
    let scene = CrashScene(
      chain,
      in: zip(chain, files).map { (file, storage) in
        CrashScene.File(storage: storage) {
          CrashImage(try directory.read(file.name))
        }
      }, budget: layout.makeBudget(), fileRunBytes: layout.fileRunBytes)
    let plan = ArmedPlan(self, files)
    var error: (any Error)?
    do {
      try await operation.run(in: scene, seed: seed)
    } catch let failure {
      error = failure
    }
    let done = plan.disarm()
    var outcome = Outcome(
      calls: Int(done.calls), failures: Int(done.failures), copiedBytes: Int(done.copied))
    outcome.fault = try wrong(error, done) ?? damage(scene)
    return outcome
  }

  /// What is wrong with how the operation ended.
  private func wrong(_ error: (any Error)?, _ plan: cfaults_plan) -> String? {
    guard let error else {
      return plan.lost_flushes > 0 && !kind.isHarmless
        ? "no word of changes that a flush failed to keep" : nil
    }
    guard let error = error as? BlockError else { return "\(error)" }
    if kind.isHarmless || plan.failures == 0 { return "failed for nothing: \(error)" }
    return error.errno == kind.number ? nil : "the error is \(error)"
  }

  /// What is wrong with the files.
  private func damage(_ scene: CrashScene) throws -> String? {
    guard let expected = scene.expectations.last?.expected else { return nil }
    let oracle = try scene.oracle
    do throws(CrashOracle.Fault) {
      try oracle.judge(expected)
    } catch {
      return "\(error)"
    }
    return nil
  }
}

/// A plan of faults that holds as long as nobody disarms it.
///
/// Isolation: one task.
private final class ArmedPlan {
  private let plan: UnsafeMutablePointer<cfaults_plan>

  init(_ trial: FaultTrial, _ files: [HostFile]) {
    plan = .allocate(capacity: 1)
    plan.initialize(to: cfaults_plan())
    plan.pointee.error = trial.kind.number
    plan.pointee.after = Int64(trial.after)
    plan.pointee.lasts = trial.lasts ? 1 : 0
    plan.pointee.device = files.first?.identity.device ?? 0
    plan.pointee.file_count = Int32(files.count)
    withUnsafeMutableBytes(of: &plan.pointee.files) { bytes in
      let numbers = bytes.bindMemory(to: UInt64.self)
      for (index, file) in files.prefix(numbers.count).enumerated() {
        numbers[index] = file.identity.inode
      }
    }
    precondition(cfaults_arm(plan) != 0, "more plans than there is room for")
  }

  /// Ends the plan. Returns it with what it has counted.
  func disarm() -> cfaults_plan {
    cfaults_disarm(plan)
    return plan.pointee
  }

  deinit {
    cfaults_disarm(plan)
    plan.deallocate()
  }
}
