import BlockCore
package import BlockIO

/// What one user of a node does with it, and what it lets the others do meanwhile. In the graph it
/// means what the same claim means to other processes as file locks.
package typealias NodePermissions = LockClaim

extension NodePermissions {
  /// A reader who wants the bytes to stay as they are: a format over its file, an overlay over its
  /// backing file.
  static let edge = NodePermissions.reader

  /// Lets the others read, but not change what the node shows: for the layers under those that a
  /// job works on. Jobs on other disks over the same layers are in nobody's way.
  package static let kept = NodePermissions(uses: [], shares: NodePermissions.reader.shares)

  /// A command that changes the length.
  static let resizer = NodePermissions(uses: .resize, shares: .all)

  /// What `self` does and `other` does not share; empty where the two may be together.
  func clash(with other: NodePermissions) -> LockPermissions {
    uses.subtracting(other.shares)
  }
}

/// Somebody who uses a node, and what errors call it.
///
/// Isolation: value.
package enum NodeUser: Hashable, Sendable {
  /// How one node uses another.
  package enum Role: String, Sendable { case file, backing }
  /// A job, by its id and the name of its kind.
  case job(id: String, type: String)
  /// A node above.
  case parent(node: String, role: Role)
  /// A command while it is at work; QEMU has a block device of its own for it.
  case command

  /// Whether it is the node `name` above.
  func isParent(_ name: String) -> Bool {
    if case .parent(name, _) = self { true } else { false }
  }

  /// Why the node is busy, as QEMU says it.
  var reason: String {
    switch self {
    case .job(_, let type): "block device is in use by block job: \(type)"
    case .parent(let node, .backing): "node is used as backing hd of '\(node)'"
    case .parent(let node, .file): "node is used as file of '\(node)'"
    case .command: "another command is at work on it"
    }
  }

  /// The error of a request for `node` that this user stands in the way of.
  func busy(_ node: String) -> BlockError {
    var error = BlockError(.busy, "Node '\(node)' is busy: \(reason)")
    if case .job(let id, _) = self { error.job = id }
    return error
  }

  /// Who it is, as a user of node `used`.
  func description(using used: String) -> String {
    switch self {
    case .job(let id, _): "block job '\(id)'"
    case .parent(let node, let role): "node '\(node)' (uses node '\(used)' as '\(role)' child)"
    case .command: "an unnamed block device (uses node '\(used)' as 'root' child)"
    }
  }
}

/// Permission to use a node, until it is given back.
///
/// Isolation: value.
package struct PermissionToken: Hashable, Sendable {
  /// The node's name.
  package let node: String
  let number: Int
}

/// A user of a node with what it does there.
///
/// Isolation: value.
struct NodeHolder: Hashable, Sendable {
  var user: NodeUser
  var permissions: NodePermissions
  /// Nil for users that are edges of the graph.
  var token: PermissionToken?

  var isJob: Bool { if case .job = user { true } else { false } }

  /// Whether it is a job that works on the node itself.
  var isWorking: Bool { isJob && permissions != .kept }

  /// Throws `busy` where a job, and `locked` where another node, stands in the way of `newcomer`.
  func admit(_ newcomer: NodeHolder, to node: String) throws(BlockError) {
    let wanted = newcomer.permissions.clash(with: permissions)
    let given = permissions.clash(with: newcomer.permissions)
    guard !wanted.isEmpty || !given.isEmpty else { return }
    if isJob {
      throw user.busy(node)
    }
    // Of two that are in each other's way, QEMU says this one.
    let (first, second) = given.isEmpty ? (newcomer, self) : (self, newcomer)
    let names = (given.isEmpty ? wanted : given).members.map(\.name).joined(separator: ", ")
    throw BlockError(
      .locked,
      "Permission conflict on node '\(node)': permissions '\(names)' are both required by "
        + "\(first.user.description(using: node)) and unshared by "
        + "\(second.user.description(using: node)).")
  }
}
