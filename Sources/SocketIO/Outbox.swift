import BlockCore

/// Bytes that wait to be sent, taken from the front in any amount.
///
/// Long pieces stay as they came, so that an answer which many wait for is in memory once; short
/// ones are put together, so that the system is not called for each.
///
/// Isolation: value.
struct Outbox {
  /// The longest piece that is put together with the one before it, and how long that may get.
  private static let short = (piece: 4 << 10, together: 64 << 10)

  /// Pieces before `first` are gone (and empty); they are dropped when they are the larger half.
  private var pieces: [[UInt8]] = []
  private var first = 0
  /// Bytes of the first piece that are gone.
  private var sent = 0

  /// Bytes that wait.
  private(set) var count = 0
  var isEmpty: Bool { count == 0 }

  /// Puts `more` behind what waits.
  mutating func append(_ more: [UInt8]) {
    guard !more.isEmpty else { return }
    count += more.count
    if first < pieces.count, more.count <= Outbox.short.piece,
      pieces[pieces.count - 1].count + more.count <= Outbox.short.together
    {
      pieces[pieces.count - 1].append(contentsOf: more)
    } else {
      pieces.append(more)
    }
  }

  /// Calls `send` with one piece after the other and drops what it says was sent, until that is
  /// less than the piece.
  mutating func take(_ send: (RawSpan) -> Int) {
    while first < pieces.count {
      let left = pieces[first].count - sent
      let taken = pieces[first].withBytes { send($0.extracting(sent...)) }
      precondition(taken >= 0 && taken <= left)
      count -= taken
      sent += taken
      guard taken == left else { break }
      pieces[first] = []
      first += 1
      sent = 0
    }
    if first * 2 >= pieces.count {
      pieces.removeFirst(first)
      first = 0
    }
    if isEmpty { clear() }
  }

  /// Drops everything and its memory.
  mutating func clear() { self = Outbox() }
}
