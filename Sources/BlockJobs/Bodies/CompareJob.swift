package import BlockCore
package import BlockGraph
import BlockIO
package import BlockRuntime
import ImageFormats
import Synchronization

/// Finds the first byte at which two disks differ. Where one is longer, the rest of it must be
/// zero.
///
/// Isolation: control plane.
@ControlPlane
package final class CompareJob: JobBody {
  package let type = JobType.compare
  package let canComplete = false
  private let chains: (BackingChain, BackingChain)
  private let claims: NodeClaims

  /// Takes what the job `id` needs of the graph. Throws `busy` and `locked` where somebody writes.
  package init(
    _ first: BackingChain, _ second: BackingChain, id: String, graph: BlockGraph
  ) throws(BlockError) {
    chains = (first, second)
    claims = NodeClaims(graph, id: id, type: .compare)
    for node in first.nodes + second.nodes { try claims.take(node, .reader) }
  }

  package var device: DeviceKey { DeviceKey(joining: [chains.0.device, chains.1.device]) }
  package var files: [String] { [chains.0.top.fileName, chains.1.top.fileName] }

  package func run(_ job: JobContext) async throws(BlockError) {
    try await job.enter(.compare)
    let (first, second) = chains
    let end = max(first.virtualSize, second.virtualSize)
    let found = FoundOffset()
    let work = SequentialWork(
      ByteRange(at: 0, length: end), windows: 2, progress: job.progress
    ) { (rest, buffer) throws(StepError) in
      try StepError.during(.read) { () throws(BlockError) in
        let zeros = min(try first.zerosAhead(of: rest), try second.zerosAhead(of: rest))
        if zeros > 0 { return zeros }
        let length = min(rest.length, Limits.copyWindowBytes)
        try buffer.withMutableBytes(0..<length) { (bytes) throws(BlockError) in
          try first.view(from: 0)?.read(into: &bytes, at: rest.lower)
        }
        try buffer.withMutableBytes(length..<2 * length) { (bytes) throws(BlockError) in
          try second.view(from: 0)?.read(into: &bytes, at: rest.lower)
        }
        let offset = buffer.withBytes(0..<2 * length) { bytes in
          bytes.extracting(0..<length)
            .firstDifference(from: bytes.extracting(length..<2 * length))
        }
        guard let offset else { return length }
        found.note(rest.lower + offset)
        return 0
      }
    }
    try await job.run(work)
    job.setResult { $0.firstDifference = found.offset }
  }

  package func cleanUp(_ job: JobContext) async { await claims.giveBack() }
}

extension BackingChain {
  private static let runsPerLook = 64

  /// How many bytes from the front of `range` are known, from metadata alone, to read zero. Past
  /// the end of the disk all do. Lane.
  fileprivate func zerosAhead(of range: ByteRange) throws(BlockError) -> Int {
    let inside = range.intersection(ByteRange(at: 0, length: virtualSize))
    guard !inside.isEmpty else { return range.length }
    let runs = try status(in: inside, above: nodes.count, limit: BackingChain.runsPerLook)
    var length = 0
    for run in runs {
      switch run.content {
      case .unallocated, .zero: length += run.range.length
      case .data, .compressed: return length
      }
    }
    return length
  }
}

/// What a step found, for its job.
///
/// Isolation: any thread; state behind `found`.
private final class FoundOffset: Sendable {
  private let found = Mutex<Int?>(nil)

  func note(_ offset: Int) { found.withLock { $0 = offset } }
  var offset: Int? { found.withLock { $0 } }
}
