/// The brackets that are open, one bit each: a bad message may open as many as it has bytes.
///
/// Isolation: value.
struct BracketStack: Sendable {
  /// What a bracket opens.
  enum Kind {
    case array, object
  }

  /// How many are open.
  private(set) var count = 0
  /// 64 brackets a word, the last of each in its lowest bit.
  private var words: [UInt64] = []

  /// The innermost.
  var last: Kind? { words.last.map { $0 & 1 == 1 ? .object : .array } }

  /// Opens one.
  mutating func push(_ kind: Kind) {
    let bit: UInt64 = kind == .object ? 1 : 0
    if count % 64 == 0 {
      words.append(bit)
    } else {
      words[count / 64] = words[count / 64] << 1 | bit
    }
    count += 1
  }

  /// Closes the innermost; nil where none is open.
  mutating func pop() -> Kind? {
    guard let kind = last else { return nil }
    count -= 1
    if count % 64 == 0 { words.removeLast() } else { words[count / 64] >>= 1 }
    return kind
  }
}
