package import BlockCore
import BlockIO
import BlockRuntime
import ImageFormats

extension BlockGraph {
  /// Makes nodes what `specifications` say, all of them or none: read-only or not, the use of the
  /// page cache, what becomes of discards and zeros, and what lies under an image. What is not said
  /// becomes the default, as in an opening, or comes from the node that it was opened with, where
  /// that stands behind it. A file or a format cannot change.
  ///
  /// Throws `notFound`, `invalidArgument` and `unsupported` for what makes no sense or cannot
  /// change, `busy` where a job uses a node, and what opening a file throws. Then every node is as
  /// it was; only where putting one back fails, too, does it stay read-only, and the disk as it is.
  package func reopen(
    _ specifications: [NodeSpecification]
  ) async throws(BlockError) {
    // Known at once, however long a change that is on its way may take: its disk may be stuck.
    for specification in specifications {
      guard let node = specification.name.flatMap({ node(named: $0) }) else { break }
      try requireNoJob(on: node)
    }
    try await edits.run {
      self.scope(named: specifications.flatMap(\.allNames))
    } _: { () async throws(BlockError) in
      let named = try specifications.map { (specification) throws(BlockError) in
        guard let name = specification.name else {
          throw BlockError(.invalidArgument, "node-name not specified")
        }
        guard let node = node(named: name) else { throw BlockGraph.unknown(name) }
        return (node, specification)
      }
      var changes = NodeChanges(named: Set(named.map(\.0.name)))
      for (index, (node, specification)) in named.enumerated() {
        noteNamed(node)
        let later = named[(index + 1)...].reduce(into: [:]) { found, next in
          found.merge(said(next.1, of: next.0)) { $1 }
        }
        guard let above = inherited(by: node, from: later) else {
          try plan(
            specification, for: node, below: AccessSettings(), isNamed: true, into: &changes)
          continue
        }
        var wanted = specification
        wanted.cacheDirect = specification.cacheDirect ?? above.cacheDirect
        wanted.cacheNoFlush = specification.cacheNoFlush ?? above.cacheNoFlush
        try plan(wanted, for: node, below: above, keeping: specification, into: &changes)
      }
      try checkEdges(changes.all)
      var undone: [@ControlPlane () async -> Void] = []
      do throws(BlockError) {
        for change in changes.inOrder { try await carryOut(change, undoing: &undone) }
      } catch {
        for undo in undone.reversed() { await undo() }
        throw error
      }
      await settle(changes.all)
    }
  }

  // MARK: Carrying out

  /// The part of a change that can fail. `undone` takes it back.
  private func carryOut(
    _ change: NodeChange, undoing undone: inout [@ControlPlane () async -> Void]
  ) async throws(BlockError) {
    let node = change.node
    let before = settings(of: node)
    if let declared = change.isDeclaredReadOnly {
      let wasDeclared = entries[node.name]?.isDeclaredReadOnly ?? false
      update(node) { $0.isDeclaredReadOnly = declared }
      undone.append { self.update(node) { $0.isDeclaredReadOnly = wasDeclared } }
    }
    if followsParent(node) {
      if change.isDeclaredReadOnly == true, before.isReadOnly == false {
        throw BlockError(
          .busy, "Read-only block node '\(node.name)' cannot support read-write users")
      }
    } else if before.isReadOnly != change.settings.isReadOnly {
      do throws(BlockError) {
        try await reopenAlone(node, readOnly: change.settings.isReadOnly)
        undone.append { try? await self.reopenAlone(node, readOnly: before.isReadOnly) }
      } catch {
        let isRefusal = error.code == .permission || error.code == .readOnly
        guard change.settings.autoReadOnly && isRefusal else { throw error }
      }
    }
    if let file = node.hostFile {
      let (direct, noFlush) = (change.settings.cacheDirect, change.settings.cacheNoFlush)
      try await setCache(of: file, under: node, direct: direct, noFlush: noFlush)
      undone.append {
        try? await self.setCache(
          of: file, under: node, direct: before.cacheDirect, noFlush: before.cacheNoFlush)
      }
    }
    if case .becomes(let below?) = change.backing, below.file == nil, holders(of: below).isEmpty {
      try await lanes.perform(on: below.device) { () throws(BlockError) in
        try below.setAccess(.reader)
      }.get()
      undone.append { await self.unlockIfUnused(below) }
    }
  }

  /// The part of a change that cannot fail.
  private func settle(_ changes: [NodeChange]) async {
    for change in changes {
      change.node.options = change.options
      update(change.node) { entry in
        let isReadOnly = entry.settings.isReadOnly
        entry.settings = change.settings
        // That is what was done, and not what was asked for.
        entry.settings.isReadOnly = isReadOnly
        entry.note(change.specification)
      }
    }
    await settleEdges(changes)
  }

  /// Changes all edges at once: between two of them the graph could be one that nobody asked for,
  /// with a loop, or with a node unused that the next one needs.
  private func settleEdges(_ changes: [NodeChange]) async {
    var moved: [(node: BlockNode, old: BlockNode?, new: BlockNode?)] = []
    for change in changes {
      guard case .becomes(let new) = change.backing else { continue }
      let old = backing(of: change.node)
      if old !== new { moved.append((change.node, old, new)) }
    }
    // Parents before children: a request that is on its way may ask the node below.
    let nodes = moved.map { (node: $0.node, depth: chain(from: $0.node).nodes.count) }
      .sorted { $0.depth > $1.depth }.map(\.node)
    await drain(nodes)
    for move in moved { update(move.node) { $0.backing = move.new } }
    nodes.forEach { $0.gate.resume() }
    for old in moved.compactMap(\.old) {
      // What closing fails with changes nothing for who asked for another node.
      try? await closeIfUnused(old)
      await unlockIfUnused(old)
    }
  }

  /// Whether what opens `node` for writing is the format over it.
  private func followsParent(_ node: BlockNode) -> Bool {
    node.file == nil && parents(of: node).contains { $0.role == .file }
  }

  /// `reopenNow`, which leaves a file that nobody uses without locks.
  private func reopenAlone(_ node: BlockNode, readOnly: Bool) async throws(BlockError) {
    try await reopenNow(node, readOnly: readOnly)
    await unlockIfUnused(node)
  }

  /// Changes how the file of a node uses the page cache, while nothing is on its way to it.
  private func setCache(
    of file: HostFile, under node: BlockNode, direct: Bool, noFlush: Bool
  ) async throws(BlockError) {
    let users = parents(of: node).filter { $0.role == .file }.map(\.node)
    // One format at most writes to a file, and readers of it are not in each other's way.
    let owner = users.first { !$0.isReadOnly } ?? users.first ?? node
    try await lanes.perform(on: node.device) { () throws(BlockError) in
      try owner.withWholeImage { (_) throws(BlockError) in
        try file.reopen(readOnly: file.traits.isReadOnly, direct: direct)
        try file.setNoFlush(noFlush)
      }
    }.get()
  }
}

// MARK: - Planning

extension BlockGraph {
  /// Checks what `specification` says of `node`, below one with `settings`, and adds it to
  /// `changes`, with what it says of the nodes below.
  /// `isNamed` where the client has called it by its name, and no node above that it came with;
  /// `kept` is what stays noted as said of the node itself, where that is less.
  private func plan(
    _ specification: NodeSpecification, for node: BlockNode, below settings: AccessSettings,
    isNamed: Bool = false, keeping kept: NodeSpecification? = nil,
    into changes: inout NodeChanges
  ) throws(BlockError) {
    guard let entry = entries[node.name] else { throw BlockGraph.unknown(node.name) }
    let wanted = settings.applying(specification)
    try requireNoJob(on: node)
    try specification.options(wanted).check()
    guard wanted.forceShare == entry.settings.forceShare else {
      throw BlockGraph.cannotChange("force-share")
    }
    guard !wanted.forceShare || wanted.isReadOnly else {
      throw BlockError(
        .invalidArgument, "force-share=on can only be used with read-only images")
    }
    var change = NodeChange(
      node: node, specification: kept ?? specification, settings: wanted,
      options: specification.options(wanted))
    switch specification.driver {
    case .file(let file):
      guard node.file == nil, file.kind.map({ $0.rawValue == node.driverName }) ?? true else {
        throw BlockGraph.cannotChange("driver")
      }
      guard file.fileName == node.fileName else { throw BlockGraph.cannotChange("filename") }
      guard node.hostFile.map({ $0.locking == file.locking }) ?? true else {
        throw BlockGraph.cannotChange("locking")
      }
      guard file.aio == entry.aio else { throw BlockGraph.cannotChange("aio") }
      try file.check(wanted)
      // What a node above says by the way is about that node.
      change.isDeclaredReadOnly =
        entry.isOwnedByClient || isNamed ? wanted.isReadOnly : specification.isReadOnly == true
    case .format(let format):
      change.backing = try planBacking(format, of: node, specification, wanted, into: &changes)
      guard format.format.rawValue == node.driverName else {
        throw BlockGraph.cannotChange("driver")
      }
      try checkUnchanged(format, entry)
      try planFile(format.file, of: node, specification, wanted, into: &changes)
    }
    changes.add(change)
  }

  /// What can only be said when an image is opened.
  private func checkUnchanged(
    _ format: FormatSpecification, _ entry: GraphEntry
  ) throws(BlockError) {
    guard let old = entry.format else { return }
    let named: [(String, Bool)] = [
      ("cache-size", format.cache.total == old.cache.total),
      ("l2-cache-size", format.cache.l2 == old.cache.l2),
      ("refcount-cache-size", format.cache.refcount == old.cache.refcount),
      ("offset", format.window.offset == old.window.offset),
      ("size", format.window.size == old.window.size),
      ("x-drop-bitmaps", format.dropBitmaps == old.dropBitmaps),
      ("x-backing-format", format.backingFormat == old.backingFormat),
    ]
    for (name, isSame) in named where !isSame { throw BlockGraph.cannotChange(name) }
  }

  /// The file child stays; a description of it, where it has no name of its own, goes for it too.
  private func planFile(
    _ child: FormatSpecification.Child, of node: BlockNode, _ said: NodeSpecification,
    _ settings: AccessSettings, into changes: inout NodeChanges
  ) throws(BlockError) {
    guard let file = node.file else { throw BlockGraph.cannotChange("driver") }
    switch child {
    case .named(let name):
      guard self.node(named: name) != nil else {
        throw BlockError(.notFound, "Cannot find device='' nor node-name='\(name)'")
      }
      guard name == file.name else { throw BlockGraph.cannotChange("file") }
      try planFollower(file, of: node, said, into: &changes)
    case .inline(let specification):
      guard !(entries[file.name]?.isOwnedByClient ?? true) else {
        throw BlockGraph.cannotChange("file.driver")
      }
      guard specification.name.map({ $0 == file.name }) ?? true else {
        throw BlockGraph.cannotChange("node-name")
      }
      try plan(specification, for: file, below: settings, into: &changes)
    }
  }

  /// What the node with which `node` was opened hands down if something is `said` of it, or of one
  /// from which it takes in turn what nobody has said of itself; nil where it is not.
  private func inherited(
    by node: BlockNode, from said: [String: NodeSpecification]
  ) -> AccessSettings? {
    guard let name = entries[node.name]?.leader, let leader = self.node(named: name) else {
      return nil
    }
    let above = inherited(by: leader, from: said)
    let own = above == nil ? nil : entries[name]?.specification
    guard let specification = said[name] ?? own else { return nil }
    let settings = (above ?? AccessSettings()).applying(specification)
    return leader.file === node ? settings : settings.forBacking
  }

  /// What `specification` says of `node`, and of the nodes that it describes below, by their names.
  private func said(
    _ specification: NodeSpecification, of node: BlockNode
  ) -> [String: NodeSpecification] {
    var found = [node.name: specification]
    guard case .format(let format) = specification.driver else { return found }
    if case .inline(let inner) = format.file, let file = node.file { found[file.name] = inner }
    if case .node(.inline(let inner)) = format.backing, let below = backing(of: node) {
      found.merge(said(inner, of: below)) { $1 }
    }
    return found
  }

  /// A child that came with `node`, and is only called by its name, stays as it is, but takes what
  /// is `said` of the node's use of the page cache now, unless that was said of the child itself,
  /// or the command says what becomes of the child. A backing node is read-only again, as where it
  /// was opened.
  private func planFollower(
    _ child: BlockNode, of node: BlockNode, _ said: NodeSpecification,
    into changes: inout NodeChanges
  ) throws(BlockError) {
    guard !changes.named.contains(child.name), let entry = entries[child.name],
      entry.leader == node.name, let own = entry.specification
    else { return }
    var wanted = own
    wanted.cacheDirect = own.cacheDirect ?? said.cacheDirect
    wanted.cacheNoFlush = own.cacheNoFlush ?? said.cacheNoFlush
    var settings = entry.settings
    if node.file !== child { settings = settings.forBacking }
    let planned = settings.applying(wanted)
    // Who writes to a file is for the format over it to say.
    let isSame =
      planned.cacheDirect == entry.settings.cacheDirect
      && planned.cacheNoFlush == entry.settings.cacheNoFlush
      && (child.file == nil || planned.isReadOnly == entry.settings.isReadOnly)
    if isSame { return }
    if case .format(var format) = wanted.driver, let file = child.file {
      format.file = .named(file.name)
      format.backing = backing(of: child).map { .node(.named($0.name)) } ?? .none
      wanted.driver = .format(format)
    }
    try plan(wanted, for: child, below: settings, keeping: own, into: &changes)
  }

  private func planBacking(
    _ format: FormatSpecification, of node: BlockNode, _ said: NodeSpecification,
    _ settings: AccessSettings, into changes: inout NodeChanges
  ) throws(BlockError) -> NodeChange.Backing {
    let old = backing(of: node)
    switch format.backing {
    case .fromHeader:
      // QEMU wants it said, since absent means something else in an opening.
      guard old == nil, entries[node.name]?.backingName == nil else {
        throw BlockError(.invalidArgument, "backing is missing for '\(node.name)'")
      }
      return .stays
    case .none: return .becomes(nil)
    case .node(.named(let name)):
      guard let below = self.node(named: name) else {
        throw BlockError(.notFound, "Cannot find device='' nor node-name='\(name)'")
      }
      if below === old {
        try planFollower(below, of: node, said, into: &changes)
      }
      return .becomes(below)
    case .node(.inline(let specification)):
      guard let old, !(entries[old.name]?.isOwnedByClient ?? true) else {
        throw BlockGraph.cannotChange("backing.driver")
      }
      guard specification.name.map({ $0 == old.name }) ?? true else {
        throw BlockGraph.cannotChange("node-name")
      }
      try plan(specification, for: old, below: settings.forBacking, into: &changes)
      return .stays
    }
  }

  /// Checks the edges that are to change, each as if those before it had changed already.
  private func checkEdges(_ changes: [NodeChange]) throws(BlockError) {
    var planned: [String: BlockNode?] = [:]
    func below(_ node: BlockNode) -> BlockNode? { planned[node.name] ?? backing(of: node) }
    for change in changes {
      guard case .becomes(let new) = change.backing, new !== backing(of: change.node) else {
        continue
      }
      planned[change.node.name] = .some(new)
      try requireNoJob(over: change.node)
      guard let new else { continue }
      guard change.node.driverName == FormatSpecification.Format.qcow2.rawValue else {
        throw BlockError(.unsupported, "The overlay does not support backing images")
      }
      var next: BlockNode? = new
      var layers: [BlockNode] = []
      while let node = next {
        layers.append(node)
        guard node !== change.node, layers.count <= entries.count else {
          throw BlockError(
            .invalidArgument,
            "Making '\(new.name)' a backing child of '\(change.node.name)' would create a cycle")
        }
        next = below(node)
      }
      try checkDepth(under: change.node, layers.count)
      let edge = NodeHolder(
        user: .parent(node: change.node.name, role: .backing), permissions: .edge)
      try admit(edge, to: new, besides: [change.node])
    }
    try checkFiles(changes.map(\.node), planned)
  }

  /// Looks once more when all edges are known, for nodes that would lie over their own file.
  private func checkFiles(
    _ changed: [BlockNode], _ planned: [String: BlockNode?]
  ) throws(BlockError) {
    let moved = changed.filter { planned[$0.name] != nil }
    for node in moved {
      var layers: [BlockNode] = []
      while let next = planned[(layers.last ?? node).name] ?? backing(of: layers.last ?? node) {
        layers.append(next)
      }
      try checkFiles(under: node, layers) { (below) in
        let stays = overlays(of: below).filter { planned[$0.name] == nil }
        return stays + moved.filter { (planned[$0.name] ?? nil) === below }
      }
    }
  }

  /// Throws `busy` where a job uses `node` or what lies over it: it has looked at the chain once.
  private func requireNoJob(over node: BlockNode) throws(BlockError) {
    try requireNoJob(on: node)
    for overlay in overlays(of: node) { try requireNoJob(over: overlay) }
  }

  private static func cannotChange(_ option: String) -> BlockError {
    BlockError(.unsupported, "Cannot change the option '\(option)'")
  }
}
