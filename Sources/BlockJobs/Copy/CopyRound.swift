import BlockCore

/// The stretches that one step has taken from the plan, and how far it is with them: what it has
/// looked at, and what it has also written.
///
/// Isolation: value.
struct CopyRound {
  private let items: [CopyPlan.Item]
  /// What is looked at next.
  private var cursor: Position
  /// All before is written.
  private var settled: Position
  /// Bytes that were written.
  private(set) var copied = 0

  private struct Position {
    var item = 0
    /// Bytes of that item.
    var offset = 0
  }

  /// A round through `items`, in order; not empty.
  init(_ items: [CopyPlan.Item]) {
    self.items = items
    (cursor, settled) = (Position(), Position())
  }

  /// Bytes that were expected to be moved.
  var bytes: Int { items.reduce(0) { $0 + $1.bytes } }

  /// What is left of the stretch at hand; nil after the last.
  var next: ByteRange? {
    cursor.item < items.count ? items[cursor.item].range.dropping(cursor.offset) : nil
  }

  /// The next `length` bytes, at most what is left of the stretch, are looked at.
  mutating func advance(by length: Int) {
    if length == 0 { return }
    cursor.offset += length
    precondition(cursor.offset <= items[cursor.item].range.length)
    if cursor.offset == items[cursor.item].range.length {
      cursor = Position(item: cursor.item + 1)
    }
  }

  /// Everything up to the cursor is done; `bytes` more were written for it.
  mutating func settle(_ bytes: Int) {
    copied += bytes
    settled = cursor
  }

  /// What is to be put back.
  var left: [CopyPlan.Item] {
    guard settled.item < items.count else { return [] }
    var left = Array(items[settled.item...])
    let behind = left.dropFirst().reduce(0) { $0 + $1.bytes }
    let range = left[0].range.dropping(settled.offset)
    left[0] = CopyPlan.Item(range: range, bytes: max(0, bytes - copied - behind))
    return left
  }
}
