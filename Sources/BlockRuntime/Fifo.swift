/// A first-in, first-out queue with both ends at constant cost on average.
///
/// Isolation: value.
struct Fifo<Element> {
  /// Elements before `head` have been taken (and are nil); they go when they are the larger half.
  private var slots: [Element?] = []
  private var head = 0

  /// Whether nothing waits.
  var isEmpty: Bool { head == slots.count }

  /// Puts an element at the end.
  mutating func append(_ element: Element) {
    slots.append(element)
  }

  /// Takes the first element; nil when nothing waits.
  mutating func popFirst() -> Element? {
    guard !isEmpty else { return nil }
    let element = slots[head].take()
    head += 1
    if head * 2 >= slots.count {
      slots.removeFirst(head)
      head = 0
    }
    return element
  }
}
