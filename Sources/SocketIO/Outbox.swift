import BlockCore

/// Bytes that wait to be sent, taken from the front in any amount.
///
/// Isolation: value.
struct Outbox {
  /// Bytes whose memory is kept for the next ones.
  private static let kept = 16 << 10

  private var bytes: [UInt8] = []
  /// Bytes before `sent` are gone; they are dropped when they are the larger half.
  private var sent = 0

  /// Bytes that wait.
  var count: Int { bytes.count - sent }
  var isEmpty: Bool { count == 0 }

  /// Puts `more` behind what waits.
  mutating func append(_ more: [UInt8]) {
    bytes.append(contentsOf: more)
  }

  /// Calls `send` with all that waits, and drops what it says was sent.
  mutating func take(_ send: (RawSpan) -> Int) {
    let taken = bytes.withBytes { send($0.extracting(sent...)) }
    precondition(taken >= 0 && taken <= count)
    sent += taken
    if isEmpty && bytes.count > Outbox.kept {
      clear()
    } else if sent * 2 >= bytes.count {
      bytes.removeFirst(sent)
      sent = 0
    }
  }

  /// Drops everything and its memory.
  mutating func clear() {
    bytes = []
    sent = 0
  }
}
