package import BlockCore
import BlockIO
package import BlockRuntime
package import ImageFormats

/// The nodes by name, and the edges between them.
///
/// Nothing here waits for a disk: what must, runs on a lane while the caller is suspended. Changes
/// that need quiet nodes go through one queue (`edits`), never two at a time.
///
/// Isolation: control plane.
@ControlPlane
package final class BlockGraph {
  /// The policy for names of files.
  package let gate: OpenGate
  /// Where the memory for all images' tables comes from.
  package let budget: CacheBudget
  let lanes: LanePool
  let edits = EditQueue()
  private(set) var entries: [String: GraphEntry] = [:]
  /// All names in the order of addition.
  private var order: [String] = []
  /// The names of the nodes that use a node as their file or backing node: thousands of chains may
  /// be open, and a change of one looks at its own nodes only.
  private var users: [ObjectIdentifier: Set<String>] = [:]
  /// Devices that have not answered a look at one of their nodes yet, for which nobody waits any
  /// more.
  var stillDevices: Set<DeviceKey> = []
  /// Names of nodes that are being opened.
  private var reserved: Set<String> = []
  private var lastToken = 0
  private var lastNumber = 0

  /// An empty graph whose files pass `gate` and whose images' tables share `budget`. Blocking work
  /// runs on `lanes`.
  package init(
    gate: OpenGate, budget: CacheBudget = CacheBudget(), lanes: LanePool = .shared
  ) {
    self.gate = gate
    self.budget = budget
    self.lanes = lanes
  }

  /// The node of this name.
  package func node(named name: String) -> BlockNode? { entries[name]?.node }

  /// Every node, in the order of addition.
  package var allNodes: [BlockNode] { order.compactMap { entries[$0]?.node } }

  /// The node that lies under `node` at this moment.
  package func backing(of node: BlockNode) -> BlockNode? { entries[node.name]?.backing }

  /// How `node` is open at this moment; the defaults where it is closed.
  package func settings(of node: BlockNode) -> AccessSettings {
    entries[node.name]?.settings ?? AccessSettings()
  }

  /// `top` and what lies under it at this moment.
  package func chain(from top: BlockNode) -> BackingChain {
    var nodes = [top]
    while let next = nodes.last.flatMap({ backing(of: $0) }) { nodes.append(next) }
    return BackingChain(nodes)
  }

  /// The nodes of which `node` is the backing node, in the order of addition.
  package func overlays(of node: BlockNode) -> [BlockNode] {
    parents(of: node).filter { $0.role == .backing }.map(\.node)
  }

  /// The nodes that use `node` as their file or as their backing node, with their roles, in the
  /// order of addition.
  func parents(of node: BlockNode) -> [(node: BlockNode, role: NodeUser.Role)] {
    (users[ObjectIdentifier(node)] ?? []).compactMap { entries[$0] }
      .sorted { $0.number < $1.number }
      .map { ($0.node, $0.node.file === node ? .file : .backing) }
  }

  /// The layer of `chain` that a client means by a file's name: the name by which the layer was
  /// opened, or by which its overlay's header knows it, or another spelling of the same path; a
  /// relative one starts at the overlay's directory.
  /// Naming a file so is `noteNamed`.
  package func find(fileName: String, in chain: BackingChain) -> BlockNode? {
    for (index, node) in chain.nodes.enumerated() {
      let overlay = index > 0 ? chain.nodes[index - 1] : nil
      let stored = overlay.flatMap { entries[$0.name]?.backingName }
      let resolved = overlay.map { OpenGate.join(fileName, to: $0.fileName) } ?? fileName
      // What is shown for a name that is not text could be another file's name.
      guard node.hasTextName,
        fileName == node.fileName || fileName == stored
          || PathSpelling(resolved) == PathSpelling(node.fileName)
      else { continue }
      noteNamed(node)
      return node
    }
    return nil
  }

  /// From now on a client has named the file of `node` itself, and so it may become writable.
  package func noteNamed(_ node: BlockNode) {
    update(node.file ?? node) { $0.origin = .client }
  }

  /// The name by which the header of `overlay` knew its backing file when it was last read or
  /// written here.
  package func backingName(of overlay: BlockNode) -> String? {
    entries[overlay.name]?.backingName
  }

  // MARK: Permissions

  /// Permission to use `node` as `permissions` say, for as long as the token is held. The parents
  /// named `besides` do not stand in the way: whoever works on a whole chain takes each of its
  /// nodes, and answers for the edges between them.
  ///
  /// Throws `busy` where a job, and `locked` where another node, stands in the way.
  package func acquire(
    _ node: BlockNode, _ permissions: NodePermissions, for user: NodeUser,
    besides exempt: [BlockNode] = []
  ) throws(BlockError) -> PermissionToken {
    lastToken += 1
    let token = PermissionToken(node: node.name, number: lastToken)
    let newcomer = NodeHolder(user: user, permissions: permissions, token: token)
    guard entries[node.name] != nil else { throw BlockGraph.unknown(node.name) }
    try admit(newcomer, to: node, besides: exempt)
    entries[node.name]?.holders.append(newcomer)
    return token
  }

  /// Throws `busy` where a job, and `locked` where another node, stands in the way of `newcomer`.
  func admit(
    _ newcomer: NodeHolder, to node: BlockNode, besides exempt: [BlockNode]
  ) throws(BlockError) {
    for holder in holders(of: node, besides: exempt) { try holder.admit(newcomer, to: node.name) }
  }

  /// Gives a permission back. The node's entry may be gone by now.
  package func release(_ token: PermissionToken) {
    entries[token.node]?.holders.removeAll { $0.token == token }
  }

  /// Throws `busy` where a job works on `node`, and not only counts on what it shows.
  package func requireNoJob(on node: BlockNode) throws(BlockError) {
    if let job = entries[node.name]?.holders.first(where: \.isWorking) {
      throw job.user.busy(node.name)
    }
  }

  /// Everybody who uses `node`: those who hold a token, and the nodes above it. Of the parents
  /// `exempt` neither the edges are meant nor what they hold while they become writable.
  func holders(of node: BlockNode, besides exempt: [BlockNode] = []) -> [NodeHolder] {
    let edges = parents(of: node).map { parent in
      let entry = entries[parent.node.name]
      let isWriter =
        parent.role == .file && (entry.map { !$0.isReadOnly || $0.writesFile } ?? false)
      return NodeHolder(
        user: .parent(node: parent.node.name, role: parent.role),
        permissions: isWriter ? .writer : .edge)
    }
    let all = (entries[node.name]?.holders ?? []) + edges
    return all.filter { holder in !exempt.contains { holder.user.isParent($0.name) } }
  }

  // MARK: Entries

  /// Reserves `names` for nodes that are being opened. Throws `invalidArgument` for a name that is
  /// malformed, taken, or there twice; then none is reserved.
  func reserve(_ names: [String]) throws(BlockError) {
    var seen: Set<String> = []
    for name in names {
      try NodeName.check(name)
      guard entries[name] == nil, !reserved.contains(name), seen.insert(name).inserted else {
        throw BlockError(.invalidArgument, "Duplicate nodes with node-name='\(name)'")
      }
    }
    reserved.formUnion(seen)
  }

  /// Undoes `reserve`.
  func unreserve(_ names: [String]) { reserved.subtract(names) }

  /// Puts a node whose image is open into the graph, over `backing`, as if its chain had brought
  /// it: for chains on storages that no command can name. Its name must be free.
  package func insert(_ node: BlockNode, over backing: BlockNode?) {
    insert(
      GraphEntry(
        node: node, backing: backing, backingName: node.image.backingLink?.name,
        isOwnedByClient: false, origin: .client,
        settings: AccessSettings(isReadOnly: node.isReadOnly)))
  }

  /// Puts a node into the graph.
  func insert(_ entry: GraphEntry) {
    let name = entry.node.name
    precondition(entries[name] == nil, "names are reserved before nodes are opened")
    lastNumber += 1
    var entry = entry
    entry.number = lastNumber
    entries[name] = entry
    order.append(name)
    noteUse(by: entry)
  }

  /// Takes a node out of the graph.
  func take(_ name: String) {
    guard let entry = entries.removeValue(forKey: name) else { return }
    forgetUse(by: entry)
    for child in [entry.node.file, entry.backing].compactMap({ $0 }) { release(child, from: name) }
    order.removeAll { $0 == name }
  }

  /// Changes what the graph knows about a node; nothing happens where it is gone.
  func update(_ node: BlockNode, _ change: (inout GraphEntry) -> Void) {
    guard var entry = entries[node.name] else { return }
    let old = entry
    change(&entry)
    entries[node.name] = entry
    if entry.backing !== old.backing {
      if let child = old.backing { release(child, from: node.name) }
      forgetUse(by: old)
      noteUse(by: entry)
    }
  }

  /// `child` is no longer one that follows `name`, if it was.
  private func release(_ child: BlockNode, from name: String) {
    if entries[child.name]?.leader == name { entries[child.name]?.leader = nil }
  }

  private func noteUse(by entry: GraphEntry) {
    for child in [entry.node.file, entry.backing].compactMap({ $0 }) {
      users[ObjectIdentifier(child), default: []].insert(entry.node.name)
    }
  }

  private func forgetUse(by entry: GraphEntry) {
    for child in [entry.node.file, entry.backing].compactMap({ $0 }) {
      users[ObjectIdentifier(child)]?.remove(entry.node.name)
      if users[ObjectIdentifier(child)]?.isEmpty == true { users[ObjectIdentifier(child)] = nil }
    }
  }

  static func unknown(_ name: String) -> BlockError {
    BlockError(.notFound, "Failed to find node with node-name='\(name)'")
  }
}

/// What the graph knows about one node.
///
/// Isolation: value.
struct GraphEntry {
  let node: BlockNode
  /// Its place in the order of addition: grows from node to node.
  var number = 0
  /// The node that lies under it.
  var backing: BlockNode?
  /// The name by which its header knows its backing file.
  var backingName: String?
  /// A client added it by itself, so only a client removes it.
  let isOwnedByClient: Bool
  /// A client said that it must not be written.
  var isDeclaredReadOnly = false
  /// Who named its file.
  var origin: OpenGate.Origin
  /// What a client, or the header over it, has said of the node itself, when it was opened or last
  /// reopened; nil for nodes that no command opened.
  var specification: NodeSpecification?
  /// The name of the node with which it was opened, and from which it takes what nobody said of
  /// itself, as long as it lies under it.
  var leader: String?
  /// How it was opened; the read-only part is what holds at this moment.
  var settings: AccessSettings
  /// What was last seen of its image and file.
  var lastLook: BlockNode.Look?
  /// Whether its file is open for writing though it is read-only itself: it is being repaired.
  var writesFile = false
  /// Who uses it, apart from the nodes above.
  var holders: [NodeHolder] = []

  var isReadOnly: Bool { settings.isReadOnly }

  /// How a client wanted the system to be asked for the bytes of a file node.
  var aio: FileSpecification.AIO? {
    if case .file(let file) = specification?.driver { file.aio } else { nil }
  }

  /// What a format node's image was opened as.
  var format: FormatSpecification? {
    if case .format(let format) = specification?.driver { format } else { nil }
  }

  /// Notes what a client says of the node now; what only an opening can say stays.
  mutating func note(_ said: NodeSpecification) {
    guard let driver = specification?.driver else { return }
    specification = said
    specification?.driver = driver
  }
}
