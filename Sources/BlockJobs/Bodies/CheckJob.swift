package import BlockCore
package import BlockGraph
import BlockIO
package import BlockRuntime
package import ImageFormats

/// Checks an image's metadata, and repairs them where it is told to.
///
/// A check writes nothing, and a repair brings the image from one crash-safe state to the next, so
/// both may be cancelled at any moment. Tests: `CrashSmokeTests` (repair), `CheckRepairTests`.
///
/// Isolation: control plane.
@ControlPlane
package final class CheckJob: JobBody {
  package let type = JobType.check
  package let canComplete = false
  private let node: BlockNode
  private let repair: CheckRepair
  private let claims: NodeClaims

  /// Takes what the job `id` needs of the graph. Throws `unsupported` for a format that cannot be
  /// checked, and `busy` and `locked` where somebody stands in the way.
  package init(
    _ node: BlockNode, repair: CheckRepair, id: String, graph: BlockGraph
  ) throws(BlockError) {
    self.node = node
    self.repair = repair
    claims = NodeClaims(graph, id: id, type: .check)
    guard node.image is any CheckableImage else { throw CheckJob.unsupported(node) }
    try graph.requireNoJob(on: node)
    try claims.take(node, repair == .none ? .reader : .writer)
  }

  package var device: DeviceKey { node.device }
  package var files: [String] { [node.fileName] }

  package func run(_ job: JobContext) async throws(BlockError) {
    try await job.enter(.check)
    if repair != .none {
      guard node.isReadOnly else {
        throw BlockError(
          .readOnly, "Node '\(node.name)' can be repaired only while it is open read-only",
          file: node.fileName)
      }
      try await claims.openFileForWriting(of: node)
    }
    let (node, repair) = (node, repair)
    let operation = try await job.perform(.read) { () throws(BlockError) in
      try node.withWholeImage { (image) throws(BlockError) in
        guard let image = image as? any CheckableImage else { throw CheckJob.unsupported(node) }
        return HeldCheck(try image.check(repair), on: node)
      }
    }
    try await job.run(OperationWork(operation, progress: job.progress))
    job.setResult { $0.check = operation.result }
  }

  package func cleanUp(_ job: JobContext) async { await claims.giveBack() }

  private nonisolated static func unsupported(_ node: BlockNode) -> BlockError {
    BlockError(
      .unsupported, "The \(node.driverName) format does not support checks", file: node.fileName)
  }
}

/// A check each step of which has the node to itself.
///
/// Isolation: one lane at a time.
private final class HeldCheck: ImageOperation {
  private let operation: any CheckOperation
  private let node: BlockNode

  init(_ operation: any CheckOperation, on node: BlockNode) {
    self.operation = operation
    self.node = node
  }

  func step() throws(BlockError) -> Bool {
    try node.withWholeImage { (_) throws(BlockError) in try operation.step() }
  }

  var progress: (done: Int, total: Int) { operation.progress }
  var isPastNoReturn: Bool { operation.isPastNoReturn }
  var result: CheckResult { operation.result }
}
