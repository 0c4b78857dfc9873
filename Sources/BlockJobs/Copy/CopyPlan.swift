package import BlockCore

/// What is left to be copied: stretches of the guest's disk in which something lies, in order.
///
/// A stretch may hold gaps that need no copy, for who copies looks again at what lies there. So the
/// plan stays small however scattered the data: when it has too many stretches, it joins those with
/// the smallest gaps between them. Until then data and zeros stay apart, so that the bytes of a
/// stretch are spread evenly.
///
/// Isolation: value.
package struct CopyPlan: Sendable {
  /// One stretch, and about how many bytes of it have to be moved.
  package struct Item: Hashable, Sendable {
    package var range: ByteRange
    package var bytes: Int

    package init(range: ByteRange, bytes: Int) {
      self.range = range
      self.bytes = bytes
    }
  }

  /// 65,536 stretches are 1.5 MiB.
  private static let most = 1 << 16
  /// Stretches that are taken at once.
  private static let mostTaken = 64

  /// In order; taken from `head` on.
  private var items: [Item] = []
  private var head = 0
  /// Put back after a failure or the end of a step; taken first.
  private var returned: [Item] = []
  /// Runs with at most this gap between them are one stretch.
  private var gap: Int
  private let most: Int
  /// Bytes of all stretches.
  package private(set) var bytes = 0

  /// An empty plan that joins runs with gaps up to `gap` bytes, and has at most `most` stretches.
  package init(joining gap: Int = 16 << 20, most: Int = CopyPlan.most) {
    precondition(gap >= 0 && most > 1)
    self.gap = gap
    self.most = most
  }

  /// Whether nothing is left.
  package var isEmpty: Bool { head == items.count && returned.isEmpty }
  /// How many stretches there are.
  package var count: Int { items.count - head + returned.count }

  /// Adds a run that lies behind all that were added before. `moved` is how many of its bytes have
  /// to be moved: all of them for data, none for zeros.
  package mutating func add(_ range: ByteRange, moving moved: Int) {
    bytes += moved
    append(Item(range: range, bytes: moved)) { ($0.bytes == 0) == ($1.bytes == 0) }
    if items.count - head > most { thin() }
  }

  /// Takes about `budget` bytes from the front, and at least one unit of `alignment` (a power of
  /// two): a stretch is cut only at a multiple of that. Nil when nothing is left.
  package mutating func take(_ budget: Int, alignment: Int) -> Item? {
    guard let item = popFirst() else { return nil }
    bytes -= item.bytes
    guard item.bytes > budget else { return item }
    // As many guest bytes as hold the budget if the data are spread evenly.
    let share = Double(item.range.length) * Double(budget) / Double(item.bytes)
    let cut = (item.range.lower + max(Int(share), 1)).roundedUp(to: alignment)
    let length = cut - item.range.lower
    guard length < item.range.length else { return item }
    // Rounding up may have made it much more than the budget.
    let moved = Double(item.bytes) * (Double(length) / Double(item.range.length))
    let part = Item(
      range: item.range.prefix(length), bytes: min(item.bytes, max(budget, Int(moved))))
    putBack(Item(range: item.range.dropping(length), bytes: item.bytes - part.bytes))
    return part
  }

  /// Takes stretches from the front, in order, until they hold about `budget` bytes or are as many
  /// as one step takes; empty when nothing is left.
  package mutating func takeSeveral(_ budget: Int, alignment: Int) -> [Item] {
    var taken: [Item] = []
    var rest = max(budget, 1)
    while rest > 0, taken.count < CopyPlan.mostTaken, let item = take(rest, alignment: alignment) {
      taken.append(item)
      rest -= item.bytes
    }
    // What was put back may lie anywhere.
    return taken.sorted { $0.range.lower < $1.range.lower }
  }

  /// Puts back what was taken and not done; it comes first.
  package mutating func putBack(_ item: Item) {
    guard !item.range.isEmpty else { return }
    bytes += item.bytes
    returned.append(item)
  }

  private mutating func popFirst() -> Item? {
    if let item = returned.popLast() { return item }
    guard head < items.count else { return nil }
    defer {
      head += 1
      if head == items.count { (items, head) = ([], 0) }
    }
    return items[head]
  }

  /// Appends `item`, as one with the last where the gap is small and `joins` agrees.
  private mutating func append(_ item: Item, joins: (Item, Item) -> Bool) {
    guard items.count > head, let last = items.last else { return items.append(item) }
    precondition(item.range.lower >= last.range.upper, "runs come in order")
    guard item.range.lower - last.range.upper <= gap, joins(last, item) else {
      return items.append(item)
    }
    items[items.count - 1] = Item(
      range: ByteRange(from: last.range.lower, to: item.range.upper),
      bytes: last.bytes + item.bytes)
  }

  /// Joins stretches with ever larger gaps until half of the places are free.
  private mutating func thin() {
    while items.count - head > most / 2 {
      gap = max(gap, 1) * 2
      let old = items[head...]
      (items, head) = ([], 0)
      for item in old { append(item) { (_, _) in true } }
    }
  }
}
