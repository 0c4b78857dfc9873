import BlockCore
import BlockGraph
import BlockJobs
import BlockRuntime
import QMP

extension CommandDispatcher {
  /// The job that copies upwards.
  func addStreamHandlers(_ services: DaemonServices) {
    on(BlockStream.self) { (call) async throws(QMPError) in
      try services.startStream(call)
      return EmptyReply()
    }
  }
}

extension DaemonServices {
  fileprivate func startStream(_ call: BlockStream) throws(QMPError) {
    var options = JobOptions(id: call.jobID ?? call.device)
    options.speed = call.speed
    options.onError = call.onError.policy
    options.autoFinalize = call.autoFinalize
    options.autoDismiss = call.autoDismiss
    options.ownNodes = call.ownNodes
    let request = try streamRequest(call)
    do throws(BlockError) {
      for node in request.chain.nodes[..<request.base] { try graph.requireNoJob(on: node) }
      guard call.backingFile == nil || call.base != nil || call.baseNode != nil else {
        throw BlockError(
          .invalidArgument, "backing file specified, but streaming the entire chain")
      }
      // The words of QEMU, which makes a node here.
      do throws(BlockError) { try checkFilterName(call.filterNodeName) } catch {
        throw BlockError(error.code, "Could not create node: \(error.message)")
      }
      try jobs.checkIsFree(options.id)
    } catch {
      throw QMPError(error)
    }
    try checkBackingFile(call.backingFile, of: [request.chain.top])
    if call.backingFile == nil, request.base < request.chain.nodes.count {
      try checkHasName(request.chain.nodes[request.base], "backing-file")
    }
    try start(options) { (id) throws(BlockError) in
      try StreamJob(request, id: id, graph: graph)
    }
  }

  /// Finds the layers as QEMU does, and says what is wrong as QEMU does.
  private func streamRequest(_ call: BlockStream) throws(QMPError) -> StreamJob.Request {
    try requireOneOf(call.base, "base", call.baseNode, "base-node")
    try requireOneOf(call.base, "base", call.bottom, "bottom")
    try requireOneOf(call.bottom, "bottom", call.baseNode, "base-node")
    let top = try deviceOrNode(call.device)
    let chain = graph.chain(from: top)
    let base = try streamBase(call, in: chain)
    // Its header will name base: whoever names it has asked for that.
    graph.noteNamed(top)
    do throws(BlockError) { try graph.checkMayWrite(top) } catch { throw QMPError(error) }
    return StreamJob.Request(chain: chain, base: base, backingFile: call.backingFile)
  }

  /// Where in `chain` the new backing node stands; one past its end for none.
  private func streamBase(
    _ call: BlockStream, in chain: BackingChain
  ) throws(QMPError) -> Int {
    if let fileName = call.base {
      guard let node = graph.find(fileName: fileName, in: chain),
        let index = chain.nodes.firstIndex(where: { $0 === node }), index > 0
      else { throw QMPError("Can't find '\(QMPError.quoted(fileName))' in the backing chain") }
      return index
    }
    if let name = call.baseNode {
      let node = try node(name)
      guard let index = chain.nodes.firstIndex(where: { $0 === node }), index > 0 else {
        throw QMPError(
          "Node '\(QMPError.quoted(name))' is not a backing image of "
            + "'\(QMPError.quoted(call.device))'")
      }
      return index
    }
    if let name = call.bottom {
      let node = try node(name)
      guard let index = chain.nodes.firstIndex(where: { $0 === node }) else {
        throw QMPError(
          "Node '\(QMPError.quoted(name))' is not in a chain starting from "
            + "'\(QMPError.quoted(call.device))'")
      }
      return index + 1
    }
    return chain.nodes.count
  }

  private func requireOneOf(
    _ first: String?, _ firstName: String, _ second: String?, _ secondName: String
  ) throws(QMPError) {
    guard first == nil || second == nil else {
      throw QMPError("'\(firstName)' and '\(secondName)' cannot be specified at the same time")
    }
  }
}
