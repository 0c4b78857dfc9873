import BlockCore

/// One bit for each unit of a disk, and how many are set.
///
/// Isolation: value.
struct DirtyBitmap {
  /// Number of units.
  let count: Int
  /// Number of dirty units.
  private(set) var dirtyCount = 0
  private var words: [UInt64]

  /// `count` units, all clean.
  init(count: Int) {
    self.count = count
    words = Array(repeating: 0, count: count.dividedRoundingUp(by: 64))
  }

  /// Whether unit `index` is dirty.
  func isDirty(_ index: Int) -> Bool {
    precondition(index >= 0 && index < count)
    return words[index / 64] & (1 << UInt64(index % 64)) != 0
  }

  /// Sets or clears `units`, a word at a time.
  mutating func set(_ units: Range<Int>, to dirty: Bool) {
    precondition(units.isEmpty || units.lowerBound >= 0 && units.upperBound <= count)
    var index = units.lowerBound
    while index < units.upperBound {
      let end = min((index / 64 + 1) * 64, units.upperBound)
      let run = end - index
      let ones: UInt64 = run == 64 ? .max : (1 << UInt64(run)) - 1
      let mask = ones << UInt64(index % 64)
      let old = words[index / 64]
      let new = dirty ? old | mask : old & ~mask
      words[index / 64] = new
      dirtyCount += new.nonzeroBitCount - old.nonzeroBitCount
      index = end
    }
  }

  /// The first dirty unit from `start` on.
  func firstDirty(from start: Int) -> Int? {
    guard dirtyCount > 0, start < count else { return nil }
    var mask = UInt64.max << UInt64(start % 64)
    for word in start / 64..<words.count {
      let bits = words[word] & mask
      if bits != 0 { return word * 64 + bits.trailingZeroBitCount }
      mask = .max
    }
    return nil
  }

  /// The first run of dirty units from `start` on, at most `limit` units long.
  func firstRun(from start: Int, limit: Int) -> Range<Int>? {
    guard let first = firstDirty(from: start) else { return nil }
    var end = first + 1
    while end < count, end - first < limit, isDirty(end) { end += 1 }
    return first..<end
  }
}
