import Foundation

/// A difference that is meant: the one list of them. The reasons stand in the table at the end of
/// `protocol.md`, under the name of the row.
///
/// Isolation: value.
struct AllowedDifference: Sendable {
  /// The first cell of the row.
  let row: String
  /// The command, or `events`; `*` stands for anything, here and in all patterns.
  let command: String
  /// The place in the answer.
  var path = ""
  /// What QEMU says there.
  let qemu: String
  /// What we say.
  let ours: String

  /// Whether it explains `difference`.
  func allows(_ difference: TranscriptDifference) -> Bool {
    matches(difference.command, command) && matches(difference.path, path)
      && matches(difference.qemu, qemu) && matches(difference.ours, ours)
  }

  /// Whether `text` is `pattern`, in which `*` stands for any text.
  private func matches(_ text: String, _ pattern: String) -> Bool {
    let pieces = pattern.split(separator: "*", omittingEmptySubsequences: false)
    guard let first = pieces.first, let last = pieces.last, pieces.count > 1 else {
      return text == pattern
    }
    guard text.hasPrefix(first) else { return false }
    var rest = text.dropFirst(first.count)
    for piece in pieces.dropFirst().dropLast() {
      guard let found = piece.isEmpty ? rest.startIndex..<rest.startIndex : rest.range(of: piece)
      else { return false }
      rest = rest[found.upperBound...]
    }
    return rest.hasSuffix(last)
  }
}

extension AllowedDifference {
  static let all: [AllowedDifference] = sentences + members

  /// Where a whole answer differs.
  private static let sentences: [AllowedDifference] = [
    AllowedDifference(
      row: "wrong word in a nested argument", command: "transaction", qemu: "*'*",
      ours: "*'properties.*"),
    AllowedDifference(
      row: "negative `speed`", command: "block-stream", qemu: "*",
      ours: "*Parameter 'speed' expects a non-negative value"),
    AllowedDifference(
      row: "a name given to `device`", command: "block_resize",
      qemu: "*Cannot find device='u' nor node-name=''", ours: #"{"return": {}}"#),
    AllowedDifference(
      row: "`device` and `node-name` in `block_resize`", command: "block_resize",
      qemu: "*Cannot find device='' nor node-name=''",
      ours: "*Need exactly one of 'device' and 'node-name'"),
    AllowedDifference(
      row: "`block_resize` of a node in a job, or under another image", command: "block_resize",
      qemu: "*Device '(null)' is in use",
      ours: "*Node '*' is busy: block device is in use by block job: commit; wait for job '*"),
    AllowedDifference(
      row: "`block_resize` of a node in a job, or under another image", command: "block_resize",
      qemu: "*Device '(null)' is in use",
      ours: "*Node 'm' is busy: node is used as backing hd of 't'"),
    AllowedDifference(
      row: "negative `offset` or `size` of a raw node", command: "blockdev-add",
      qemu: "*expects a non-negative number below 2^64", ours: "*expects a non-negative value"),
    AllowedDifference(
      row: "`blockdev-snapshot` of a node that an image lies in", command: "blockdev-snapshot",
      qemu: #"{"return": {}}"#, ours: "*Node 'bf' is busy: node is used as file of 'b'"),
    AllowedDifference(
      row: "`blockdev-snapshot`: an overlay that lies under another image, or that a job uses",
      command: "blockdev-snapshot", qemu: #"{"return": {}}"#,
      ours: "*Node 'v' is busy: node is used as backing hd of 'u'"),
    AllowedDifference(
      row: "a `file` node of a file that an image here uses", command: "blockdev-add",
      qemu: #"{"return": {}}"#, ours: #"*Failed to get "write" lock: process *"#),
    AllowedDifference(
      row: "a `file` node that only `read-only` nodes have used", command: "block_resize",
      qemu: #"{"return": {}}"#, ours: "*Node 'p' is read-only"),
    AllowedDifference(
      row: "raw nodes", command: "block_resize", qemu: #"{"return": {}}"#,
      ours: "*Permission conflict on node 'p'*"),
    AllowedDifference(
      row: "`block-commit` of a node that is in a job", command: "block-commit",
      qemu: "*Need a root block node", ours: "*Job ID 'j' already in use"),
    AllowedDifference(
      row: "`block-commit` of a node that is in a job", command: "block-commit",
      qemu: "*Need a root block node", ours: "*Cannot find device='' nor node-name='nope'"),
    AllowedDifference(
      row: "`block-commit` of a node that is in a job", command: "block-commit",
      qemu: "*Need a root block node", ours: "*Top image file nope not found"),
    AllowedDifference(
      row: "`block-commit` of a node that is in a job", command: "block-commit",
      qemu: "*Need a root block node", ours: "*'top-node' and 'top' are mutually exclusive"),
    AllowedDifference(
      row: "`block_resize`", command: "block_resize", qemu: #"{"return": {}}"#,
      ours: "*Shrinking *is not supported"),
    AllowedDifference(
      row: "`block_resize` of a read-only node", command: "block_resize",
      qemu: "*Image is read-only", ours: "*Node 'y' is read-only"),
    AllowedDifference(
      row: "negative `speed`", command: "block-commit", qemu: "*",
      ours: "*Parameter 'speed' expects a non-negative value"),
    AllowedDifference(
      row: "numbers out of range", command: "block_resize",
      qemu: "*Cannot find device='nope' nor node-name=''",
      ours: "*Parameter 'size' expects a >0 size"),
    AllowedDifference(
      row: "numbers out of range", command: "block_resize", qemu: "*exceeds maximum(*)",
      ours: "*The new size must be a multiple of 512"),
    AllowedDifference(
      row: "numbers out of range", command: "blockdev-create", qemu: "*Invalid job ID '1'",
      ours: "*expects a value from 0 to 2^63 - 1"),
    AllowedDifference(
      row: "numbers out of range", command: "blockdev-add",
      qemu: "*Cannot find device='nope' nor node-name='nope'",
      ours: "*cache-size' expects a non-negative value"),
    AllowedDifference(
      row: "wrong word in a nested argument", command: "blockdev-create", qemu: "*'*",
      ours: "*'options.*"),
    AllowedDifference(
      row: "wrong word in a nested argument", command: "blockdev-add", qemu: "*'*", ours: "*'file.*"
    ),
    AllowedDifference(
      row: "wrong word in a nested argument", command: "blockdev-add", qemu: "*'template'*",
      ours: "*'overlap-check.template'*"),
    AllowedDifference(
      row: "what a job is in the way of", command: "block*",
      qemu: "*Node '*' is busy: block device is in use by block job: *",
      ours: "*Node '*' is busy: block device is in use by block job: *; wait for job '*"),
    AllowedDifference(
      row: "names of nodes", command: "blockdev-add", qemu: "*",
      ours: "*Duplicate nodes with node-name='t'"),
    AllowedDifference(
      row: "names of nodes", command: "blockdev-add", qemu: "*", ours: "*Invalid node-name: ''"),
    AllowedDifference(
      row: "`block-commit` of a node that is in a job", command: "block-commit",
      qemu: "*Need a root block node",
      ours: "*Node '*' is busy: block device is in use by block job: commit; wait for job '*"),
    AllowedDifference(
      row: "`change-backing-file` in a chain with a job", command: "change-backing-file",
      qemu: "*Need a root block node",
      ours: "*Node '*' is busy: block device is in use by block job: commit; wait for job '*"),
    AllowedDifference(
      row: "concluded, not dismissed jobs", command: "block-commit",
      qemu: "*Need a root block node", ours: #"{"return": {}}"#),
    AllowedDifference(
      row: "`base` and `top` in a chain opened node by node", command: "block-commit",
      qemu: "*Can't find 'b.qcow2' in the backing chain", ours: "*"),
    AllowedDifference(
      row: "`base` and `top` in a chain opened node by node", command: "block-commit",
      qemu: "*Top image file /images/m.qcow2 not found", ours: "*"),
    AllowedDifference(
      row: "`blockdev-del` of a node that is in use", command: "blockdev-del",
      qemu: "*Node * is in use",
      ours: "*Node '*' is busy: block device is in use by block job: commit; wait for job '*"),
    AllowedDifference(
      row: "`blockdev-del` of a node that is in use", command: "blockdev-del",
      qemu: "*Node bf is not owned by the monitor",
      ours: "*Node 'bf' is busy: node is used as file of 'b'"),
    AllowedDifference(
      row: "`blockdev-del` of a node that is in use", command: "blockdev-del",
      qemu: "*Block device x is in use", ours: "*Node 'x' is busy: node is used as file of 'y'"),
    AllowedDifference(
      row: "`blockdev-create` in a node that cannot be had", command: "blockdev-create",
      qemu: #"{"return": {}}"#, ours: "*Permission conflict on node 'bf'*"),
    AllowedDifference(
      row: "`blockdev-create` in a node that cannot be had", command: "blockdev-create",
      qemu: #"{"return": {}}"#, ours: "*Cannot find device='nope' nor node-name='nope'"),
    AllowedDifference(
      row: "`blockdev-create`: options that do not go together", command: "blockdev-create",
      qemu: #"{"return": {}}"#, ours: "*Image size must be a multiple of 512 bytes"),
    AllowedDifference(
      row: "`blockdev-create`: options that do not go together", command: "blockdev-create",
      qemu: #"{"return": {}}"#, ours: "*Backing format cannot be used without backing file"),
    AllowedDifference(
      row: "`blockdev-create`: options that do not go together", command: "blockdev-create",
      qemu: #"{"return": {}}"#, ours: "*Preallocated clusters would hide the backing file: *"),
    AllowedDifference(
      row: "`blockdev-add` of an image over itself", command: "blockdev-add",
      qemu: "*Making 'n' a backing child of 'n' would create a cycle",
      ours: "*Cannot find device='n' nor node-name='n'"),
    AllowedDifference(
      row: "an image in another, or in a part of a file", command: "blockdev-add",
      qemu: #"{"return": {}}"#, ours: "*is an image, not a file: one format over another"),
    AllowedDifference(
      row: "raw nodes", command: "blockdev-add", qemu: #"{"return": {}}"#,
      ours: "*Permission conflict on node 'bf'*"),
    AllowedDifference(
      row: "raw nodes", command: "blockdev-add", qemu: #"{"return": {}}"#,
      ours: "*Block node 'x' is read-only"),
    AllowedDifference(
      row: "`pr-manager`, `data-file`, `encrypt`, and `true` for `nocow`, `extended-l2`, "
        + "`data-file-raw`", command: "blockdev-add",
      qemu: "*No persistent reservation manager with id 'x'",
      ours: "*Parameter 'pr-manager' is not supported"),
    AllowedDifference(
      row: "files that are no files", command: "blockdev-add", qemu: "*Is a directory",
      ours: "*is a directory, not a regular file or block device"),
    AllowedDifference(
      row: "a locked file", command: "blockdev-add", qemu: #"*Failed to get "write" lock"#,
      ours: #"*Failed to get "write" lock: process * is using the image*"#),
  ]

  /// Where members of an answer or an event differ.
  private static let members: [AllowedDifference] = [
    AllowedDifference(
      row: "`operation` of a stream's `BLOCK_JOB_ERROR`", command: "events",
      path: "[].data.operation", qemu: #""read""#, ours: #""write""#),
    AllowedDifference(
      row: "progress of a commit or stream", command: "events", path: "[].data.len",
      qemu: "4194304",
      ours: "0"),
    AllowedDifference(
      row: "progress of a commit or stream", command: "events", path: "[].data.offset",
      qemu: "4194304",
      ours: "0"),
    AllowedDifference(
      row: "progress of a commit or stream", command: "query-jobs", path: "return[].*-progress",
      qemu: "4194304", ours: "0"),
    AllowedDifference(
      row: "`paused` of an active commit in `pending`", command: "query-block-jobs",
      path: "return[].paused", qemu: "true", ours: "false"),
    AllowedDifference(
      row: "order of lists", command: "query-*", path: "return order", qemu: "*", ours: "*"),
    AllowedDifference(
      row: "`query-named-block-nodes`", command: "query-named-block-nodes",
      path: "*format-specific", qemu: "{*", ours: "nothing"),
    AllowedDifference(
      row: "internal snapshots in `query-named-block-nodes`", command: "query-named-block-nodes",
      path: "*image.snapshots", qemu: #"[{*"name": "s"*}]"#, ours: "nothing"),
    AllowedDifference(
      row: "names of files", command: "query-named-block-nodes", path: "*file*", qemu: #""json:{*"#,
      ours: #""/images/*"#),
    AllowedDifference(
      row: "`query-blockstats`", command: "query-blockstats", path: "*.stats.*", qemu: "*",
      ours: "*"),
  ]
}
