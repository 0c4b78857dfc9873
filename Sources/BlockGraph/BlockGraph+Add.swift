package import BlockCore
import BlockIO
import BlockRuntime
import ImageFormats

extension BlockGraph {
  /// Opens what `specification` describes, with everything below it, and puts it into the graph.
  /// All or nothing. The top node needs a name, unless it may be `unnamed` and get one; only a
  /// client removes it again.
  ///
  /// Throws `invalidArgument` for names and settings, `notFound`, `permission`, `locked`,
  /// `invalidImage`, `unsupported`, `io` and `readOnly` for what is opened, and `busy` where a
  /// job, or `locked` where another node, uses a child in a way that does not go together.
  package func add(
    _ specification: NodeSpecification, unnamed mayBeUnnamed: Bool = false
  ) async throws(BlockError) -> BlockNode {
    guard specification.name != nil || mayBeUnnamed else {
      throw BlockError(.invalidArgument, "'node-name' must be specified for the root node")
    }
    let names = specification.names
    try reserve(names.given)
    defer { unreserve(names.given) }
    let pins = try pin(specification, AccessSettings().applying(specification))
    let children = names.referredTo.compactMap { self.node(named: $0) }
    let opener = NodeOpener(
      gate: gate, budget: budget,
      existing: Dictionary(children.map { ($0.name, chain(from: $0)) }) { first, _ in first },
      declaredReadOnly: Set(
        children.map(\.name).filter { entries[$0]?.isDeclaredReadOnly ?? false }))
    let opened = await lanes.perform(on: specification.openings) { () throws(BlockError) in
      try opener.opening(specification)
    }
    if case .success(let opener) = opened {
      opener.opened.forEach(insert)
      for (file, isReadOnly) in opener.claimed {
        update(file) { $0.settings.isReadOnly = isReadOnly }
      }
    }
    pins.forEach(release)
    if case .failure(let error) = opened {
      for child in children { await unlockIfUnused(child) }
      throw await naming(error)
    }
    guard let top = try opened.get().opened.last else { preconditionFailure("the top was opened") }
    return top.node
  }

  /// Holds the existing nodes that `specification` names as children, so that they stay, and stay
  /// usable, until the edge from their parent is in the graph.
  private func pin(
    _ specification: NodeSpecification, _ settings: AccessSettings
  ) throws(BlockError) -> [PermissionToken] {
    var pins: [PermissionToken] = []
    do {
      try pin(specification, settings, into: &pins)
    } catch {
      pins.forEach(release)
      throw error
    }
    return pins
  }

  private func pin(
    _ specification: NodeSpecification, _ settings: AccessSettings,
    into pins: inout [PermissionToken]
  ) throws(BlockError) {
    guard case .format(let format) = specification.driver else { return }
    let permissions: NodePermissions = settings.isReadOnly ? .edge : .writer
    try pin(format.file, settings, permissions, .file, of: specification, into: &pins)
    for child in format.backing.children {
      do throws(BlockError) {
        try pin(child, settings.forBacking, .edge, .backing, of: specification, into: &pins)
      } catch {
        throw error.code == .notFound ? error.prefixed("Could not open backing file") : error
      }
    }
  }

  private func pin(
    _ child: FormatSpecification.Child, _ settings: AccessSettings,
    _ permissions: NodePermissions, _ role: NodeUser.Role, of parent: NodeSpecification,
    into pins: inout [PermissionToken]
  ) throws(BlockError) {
    switch child {
    case .inline(let inner): try pin(inner, settings.applying(inner), into: &pins)
    case .named(let name):
      guard let node = node(named: name) else {
        throw BlockError(.notFound, "Cannot find device='\(name)' nor node-name='\(name)'")
      }
      pins.append(
        try acquire(node, permissions, for: .parent(node: parent.name ?? "", role: role)))
    }
  }
}
