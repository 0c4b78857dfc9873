package import BlockCore
package import BlockGraph
package import BlockIO
package import BlockRuntime

/// Writes bytes to a disk: for people at a command line, and for tests.
///
/// Crash: in each sector the old bytes or the new ones; after its end the new ones, also where they
/// are zeros that showed already and were not written. Tests: `KillSmokeTests`, `CommitOrderTests`.
///
/// Isolation: control plane.
@ControlPlane
package final class WriteJob: JobBody {
  /// Where the bytes come from.
  package enum Source: Sendable {
    /// This byte, again and again.
    case pattern(UInt8)
    /// Zeros, with as few bytes stored as the format can.
    case zeroes
    /// A file, from its beginning; zeros after its end.
    case file(any Storage)
  }

  package let type = JobType.write
  package let canComplete = false
  private let chain: BackingChain
  private let range: ByteRange
  private let bytes: Source
  private let claims: NodeClaims

  /// Takes what the job `id` needs of the graph. Throws `busy`, `locked`, and `outOfRange` where
  /// `range` does not lie inside the disk.
  package init(
    _ chain: BackingChain, _ range: ByteRange, from bytes: Source, id: String, graph: BlockGraph
  ) throws(BlockError) {
    self.chain = chain
    self.range = range
    self.bytes = bytes
    claims = NodeClaims(graph, id: id, type: .write)
    try chain.top.check(range.lower, range.length)
    try chain.top.requireWritable()
    for node in chain.nodes { try graph.requireNoJob(on: node) }
    try claims.take(chain.top, .writer)
    for node in chain.nodes.dropFirst() { try claims.take(node, .reader) }
  }

  package var device: DeviceKey { chain.device }
  package var files: [String] { [chain.top.fileName] }

  package func run(_ job: JobContext) async throws(BlockError) {
    try await job.enter(.transfer)
    let (chain, bytes, first) = (chain, bytes, range.lower)
    switch bytes {
    case .zeroes: try await job.run(ZeroWork(range, of: chain))
    case .pattern, .file:
      let work = SequentialWork(range, progress: job.progress) {
        (rest, buffer) throws(StepError) in
        let length = min(rest.length, buffer.count)
        try StepError.during(.read) { () throws(BlockError) in
          try buffer.withMutableBytes(0..<length) { (window) throws(BlockError) in
            try bytes.fill(&window, at: rest.lower - first)
          }
        }
        try StepError.during(.write) { () throws(BlockError) in
          try buffer.withBytes(0..<length) { (window) throws(BlockError) in
            try chain.write(window, at: rest.lower)
          }
        }
        return length
      }
      try await job.run(work)
    }
    try await job.enter(.flush)
    try await job.perform(.write) { () throws(BlockError) in
      try chain.top.flush()
      // Zeros that show through the top already may not have been written.
      try chain.makeDurable(from: 1)
    }
  }

  package func cleanUp(_ job: JobContext) async { await claims.giveBack() }
}

extension WriteJob.Source {
  fileprivate func fill(_ window: inout MutableRawSpan, at offset: Int) throws(BlockError) {
    switch self {
    case .zeroes: window.zero()
    case .pattern(let byte):
      for index in 0..<window.byteCount {
        window.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
      }
    case .file(let storage): try storage.read(into: &window, at: offset)
    }
  }
}
