import BlockCore
import BlockGraph
import BlockIO
import BlockJobs
import BlockRuntime
import ImageFormats
import QMP

extension CommandDispatcher {
  /// The jobs on one image or on a guest's view that our client starts.
  func addNodeJobHandlers(_ services: DaemonServices) {
    addCheckHandlers(services)
    on(BlockWrite.self) { (call) async throws(QMPError) in
      try await services.startWrite(call)
      return EmptyReply()
    }
    on(BlockChecksum.self) { (call) async throws(QMPError) in
      let graph = services.graph
      let chain = graph.chain(from: try services.node(call.node))
      try services.start(JobOptions(call.job)) { (id) throws(BlockError) in
        try ChecksumJob(chain, id: id, graph: graph)
      }
      return EmptyReply()
    }
    on(BlockCompare.self) { (call) async throws(QMPError) in
      let graph = services.graph
      let first = graph.chain(from: try services.node(call.node))
      let second = graph.chain(from: try services.node(call.other))
      try services.start(JobOptions(call.job)) { (id) throws(BlockError) in
        try CompareJob(first, second, id: id, graph: graph)
      }
      return EmptyReply()
    }
  }
}

extension DaemonServices {
  fileprivate func startWrite(_ call: BlockWrite) async throws(QMPError) {
    let source = try await writeSource(try call.source())
    let node = try node(call.node)
    guard !call.offset.addingReportingOverflow(call.length).overflow else {
      throw QMPError("Parameters 'offset' and 'length' reach past the end of any disk")
    }
    let range = ByteRange(at: call.offset, length: call.length)
    try start(JobOptions(call.job)) { (id) throws(BlockError) in
      try WriteJob(graph.chain(from: node), range, from: source, id: id, graph: graph)
    }
  }

  /// A file to write from is opened read-only, past the same gate as every other file.
  private func writeSource(_ source: BlockWrite.Source) async throws(QMPError) -> WriteJob.Source {
    switch source {
    case .pattern(0): return .zeroes
    case .pattern(let byte): return .pattern(byte)
    case .file(let path):
      let gate = graph.gate
      let device = DeviceKey(opening: path)
      let opened = await LanePool.shared.perform(on: device) { () throws(BlockError) in
        try gate.open(path, .client, HostFileOptions(isReadOnly: true, forceShare: true))
      }
      do throws(BlockError) { return .file(try opened.get()) } catch { throw QMPError(error) }
    }
  }
}
