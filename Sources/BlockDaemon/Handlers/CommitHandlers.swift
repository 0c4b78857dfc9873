import BlockCore
import BlockGraph
import BlockIO
import BlockJobs
import BlockRuntime
import ImageFormats
import QMP

extension CommandDispatcher {
  /// The two commands that the daemon is there for.
  func addCommitHandlers(_ services: DaemonServices) {
    on(BlockCommit.self) { (call) async throws(QMPError) in
      try services.start(try services.commit(call))
      return EmptyReply()
    }
    on(BlockMakeEmpty.self) { (call) async throws(QMPError) in
      try services.start(try services.makeEmpty(call, .atOnce))
      return EmptyReply()
    }
  }
}

extension DaemonServices {
  /// Starts the job that `make` makes, where its options allow one.
  func start(
    _ options: JobOptions, _ make: (String) throws(BlockError) -> any JobBody
  ) throws(QMPError) {
    do throws(BlockError) {
      try jobs.start(options) { () throws(BlockError) in try make(options.id) }
    } catch {
      throw QMPError(error)
    }
  }

  /// Starts a job that has been looked at.
  fileprivate func start(_ request: JobRequest) throws(QMPError) {
    do throws(BlockError) {
      try jobs.start(request)
    } catch {
      throw QMPError(error)
    }
  }

  /// The job that `call` asks for, as far as nodes and names are right.
  func commit(_ call: BlockCommit) throws(QMPError) -> JobRequest {
    var settings = JobOptions(id: call.jobID ?? call.device)
    settings.speed = call.speed
    settings.onError = call.onError.policy
    settings.autoFinalize = call.autoFinalize
    settings.autoDismiss = call.autoDismiss
    settings.autoComplete = call.autoComplete
    settings.ownNodes = call.ownNodes
    let (options, request) = (settings, try commitRequest(call))
    // QEMU puts its filter above an active layer before it makes the job, else after it.
    let isActive = graph.overlays(of: request.chain.top).isEmpty
    do throws(BlockError) {
      try request.check(isActive: isActive)
      if isActive { try checkFilterName(call.filterNodeName) }
    } catch {
      throw QMPError(error)
    }
    return JobRequest(options) { () throws(BlockError) in
      if !isActive { try self.checkFilterName(call.filterNodeName) }
      return try CommitJob(request, id: options.id, graph: self.graph, memory: self.memory)
    }
  }

  /// The job that `call` asks for, as far as the node is right.
  func makeEmpty(
    _ call: BlockMakeEmpty, _ place: MakeEmptyJob.Place
  ) throws(QMPError) -> JobRequest {
    let chain = graph.chain(from: try node(call.node))
    let mode: EmptyMode =
      switch call.mode {
      case .auto: .auto
      case .reset: .reset
      case .discard: .discard
      }
    let options = JobOptions(call.job)
    return JobRequest(options) { () throws(BlockError) in
      try MakeEmptyJob(
        chain, mode: mode, force: call.force, place: place, id: options.id, graph: self.graph,
        memory: self.memory)
    }
  }

  /// Finds top and base as QEMU does, and says what is wrong as QEMU does.
  private func commitRequest(_ call: BlockCommit) throws(QMPError) -> CommitJob.Request {
    guard let device = graph.node(named: call.device) else { throw .deviceNotFound(call.device) }
    guard graph.overlays(of: device).isEmpty, device.file != nil else {
      throw QMPError("Need a root block node")
    }
    let whole = graph.chain(from: device)
    let top = try commitTop(call, in: whole)
    let chain = graph.chain(from: top)
    let base = try commitBase(call, in: chain)
    // The headers of what lies on top will name base: the device's own is named with it, and every
    // other one has to be.
    graph.noteNamed(device)
    do throws(BlockError) {
      for overlay in graph.overlays(of: top) { try graph.checkMayWrite(overlay) }
    } catch { throw QMPError(error) }
    try checkBackingFile(call.backingFile, of: graph.overlays(of: top))
    guard let index = chain.nodes.firstIndex(where: { $0 === base }), index > 0 else {
      throw QMPError("cannot commit an image into itself")
    }
    if call.backingFile == nil, !graph.overlays(of: top).isEmpty {
      try checkHasName(base, "backing-file")
    }
    do throws(BlockError) { try graph.checkMayWrite(base) } catch { throw QMPError(error) }
    var request = CommitJob.Request(chain: chain, base: index)
    request.backingFile = call.backingFile
    request.emptiesTop = call.makeEmpty
    request.skipsIdentical = call.skipIdentical
    return request
  }

  /// An overlay that names its backing file in a way that we would not follow, or not at all, would
  /// not read the same afterwards.
  func checkBackingFile(
    _ name: String?, of overlays: [BlockNode]
  ) throws(QMPError) {
    guard let name else { return }
    do throws(BlockError) {
      for overlay in overlays {
        _ = try OpenGate.path(
          ofBacking: Array(name.utf8), namedBy: try FileName(bytes: overlay.path))
      }
    } catch {
      throw QMPError(error)
    }
  }

  /// A set of passed descriptors means nothing to who reads the header later, and a part of a file
  /// would become the whole; `argument` can give a name that says what is meant.
  func checkHasName(_ node: BlockNode, _ argument: String) throws(QMPError) {
    guard !node.isPartOfFile else {
      throw QMPError(
        "Node '\(node.name)' is a part of its file, which no header can say: give '\(argument)'")
    }
    guard (try? DescriptorSets.id(named: node.fileName)) != nil else { return }
    throw QMPError(
      "'\(node.fileName)' is no name that an image can have for its backing file: "
        + "give '\(argument)'")
  }

  private func commitTop(
    _ call: BlockCommit, in chain: BackingChain
  ) throws(QMPError) -> BlockNode {
    switch (call.topNode, call.top) {
    case (_?, _?): throw QMPError("'top-node' and 'top' are mutually exclusive")
    case (let name?, nil): return try member(name, of: chain)
    case (nil, let fileName?):
      guard let node = graph.find(fileName: fileName, in: chain) else {
        throw QMPError("Top image file \(QMPError.quoted(fileName)) not found")
      }
      return node
    case (nil, nil): return chain.top
    }
  }

  private func commitBase(
    _ call: BlockCommit, in chain: BackingChain
  ) throws(QMPError) -> BlockNode {
    if let depth = call.baseDepth { return try commitBase(call, depth, in: chain) }
    switch (call.baseNode, call.base) {
    case (_?, _?): throw QMPError("'base-node' and 'base' are mutually exclusive")
    case (let name?, nil):
      let node = try member(name, of: chain)
      graph.noteNamed(node)
      return node
    case (nil, let fileName?):
      guard let node = graph.find(fileName: fileName, in: chain), node !== chain.top else {
        throw QMPError("Can't find '\(QMPError.quoted(fileName))' in the backing chain")
      }
      return node
    case (nil, nil): return chain.nodes[chain.nodes.count - 1]
    }
  }

  /// The base by its distance from top. Who asks for it has chosen it, as if by its name, where it
  /// lies beside the device's file; which file elsewhere it is, the headers say and not the client.
  private func commitBase(
    _ call: BlockCommit, _ depth: Int, in chain: BackingChain
  ) throws(QMPError) -> BlockNode {
    guard call.baseNode == nil, call.base == nil else {
      throw QMPError("'x-base-depth' and 'base' or 'base-node' are mutually exclusive")
    }
    guard chain.nodes.count > 1 else { throw QMPError("Image does not have a backing file") }
    guard depth < chain.nodes.count else {
      throw QMPError("Only \(chain.nodes.count - 1) images lie below top, not \(depth)")
    }
    let base = chain.nodes[depth]
    if let device = graph.node(named: call.device), base.isBeside(device) { graph.noteNamed(base) }
    return base
  }

  /// The node `name`, which must be one of `chain`.
  private func member(_ name: String, of chain: BackingChain) throws(QMPError) -> BlockNode {
    let node = try node(name)
    guard chain.nodes.contains(where: { $0 === node }) else {
      throw QMPError("'\(QMPError.quoted(name))' is not in this backing file chain")
    }
    return node
  }

  /// No node is put above top here, so the name is only checked.
  func checkFilterName(_ name: String?) throws(BlockError) {
    guard let name else { return }
    try NodeName.check(name)
    guard graph.node(named: name) == nil else {
      throw BlockError(.invalidArgument, "Duplicate nodes with node-name='\(name)'")
    }
  }
}

extension JobOptions {
  /// The options that all our own job commands share.
  init(_ job: JobStart) {
    self.init(id: job.id)
    speed = job.speed
    autoFinalize = job.autoFinalize
    autoDismiss = job.autoDismiss
    ownNodes = job.ownNodes
  }
}
