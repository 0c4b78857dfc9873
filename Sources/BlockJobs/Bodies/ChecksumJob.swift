package import BlockCore
package import BlockGraph
import BlockIO
package import BlockRuntime
import Synchronization

/// SHA-256 of what a guest sees: the same as of the disk written out to a raw file.
///
/// Isolation: control plane.
@ControlPlane
package final class ChecksumJob: JobBody {
  package let type = JobType.checksum
  package let canComplete = false
  private let chain: BackingChain
  private let claims: NodeClaims

  /// Takes what the job `id` needs of the graph. Throws `busy` and `locked` where somebody writes.
  package init(_ chain: BackingChain, id: String, graph: BlockGraph) throws(BlockError) {
    self.chain = chain
    claims = NodeClaims(graph, id: id, type: .checksum)
    for node in chain.nodes { try claims.take(node, .reader) }
  }

  package var device: DeviceKey { chain.device }
  package var files: [String] { [chain.top.fileName] }

  package func run(_ job: JobContext) async throws(BlockError) {
    try await job.enter(.transfer)
    let chain = chain
    let hash = HashBox()
    let all = ByteRange(at: 0, length: chain.virtualSize)
    let work = SequentialWork(all, progress: job.progress) { (rest, buffer) throws(StepError) in
      let length = min(rest.length, buffer.count)
      try StepError.during(.read) { () throws(BlockError) in
        try buffer.withMutableBytes(0..<length) { (window) throws(BlockError) in
          try chain.read(into: &window, at: rest.lower)
        }
      }
      buffer.withBytes(0..<length) { hash.update($0) }
      return length
    }
    try await job.run(work)
    job.setResult { $0.checksum = hash.hexDigest }
  }

  package func cleanUp(_ job: JobContext) async { await claims.giveBack() }
}

/// A hash that the steps of a job hand on to each other.
///
/// Isolation: any thread; state behind `hash`.
private final class HashBox: Sendable {
  private let hash = Mutex(SHA256())

  func update(_ bytes: RawSpan) { hash.withLock { $0.update(bytes) } }
  var hexDigest: String { hash.withLock { $0.hexDigest() } }
}
