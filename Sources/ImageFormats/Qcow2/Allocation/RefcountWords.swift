import BlockCore

/// Where a refcount of any width lies in the 64-bit words of a slice: wider than a byte they are
/// big-endian, so the first is the most significant; inside a byte "bit 0 is the least
/// significant".
///
/// Isolation: value.
struct RefcountWords {
  private let order: Int
  /// All bits of the last refcount of a word, and the lowest bit of each.
  private let mask: UInt64
  private let lowBits: UInt64

  init(_ geometry: ClusterGeometry) {
    order = geometry.refcountOrder
    mask = .max >> UInt64(64 - 1 << order)
    lowBits = .max / mask
  }

  /// Refcounts in one word.
  var perWord: Int { 1 << perWordBits }
  private var perWordBits: Int { 6 - order }
  private var bits: Int { 1 << order }

  /// The word that holds entry `index`, and how far it is shifted.
  private func place(_ index: Int) -> (word: Int, shift: Int) {
    let inWord = index & (perWord - 1)
    let word = index >> perWordBits
    if order >= 3 { return (word, 64 - bits * (inWord + 1)) }
    let inByte = inWord & (8 >> order - 1)
    return (word, 56 - 8 * (inWord >> (3 - order)) + bits * inByte)
  }

  func get(_ words: [UInt64], _ index: Int) -> UInt64 {
    let (word, shift) = place(index)
    return words[word] >> UInt64(shift) & mask
  }

  func set(_ words: inout [UInt64], _ index: Int, to value: UInt64) {
    let (word, shift) = place(index)
    words[word] = words[word] & ~(mask << UInt64(shift)) | value << UInt64(shift)
  }

  /// Changes the refcounts of `range` by one, up or down. Returns the first that would leave its
  /// range, those before which are changed; nil where all are.
  func adjust(_ words: inout [UInt64], _ range: Range<Int>, up: Bool) -> Int? {
    var index = range.lowerBound
    while index < range.upperBound {
      let word = index >> perWordBits
      let isWhole = index & (perWord - 1) == 0 && index + perWord <= range.upperBound
      if isWhole, !hasZero(up ? ~words[word] : words[word]) {
        // None of them carries into its neighbour, or borrows from it.
        words[word] = up ? words[word] &+ lowBits : words[word] &- lowBits
        index += perWord
        continue
      }
      let old = get(words, index)
      guard up ? old < mask : old > 0 else { return index }
      set(&words, index, to: up ? old + 1 : old - 1)
      index += 1
    }
    return nil
  }

  /// How many refcounts of `range` are not zero.
  func countNonzero(_ words: [UInt64], _ range: Range<Int>) -> Int {
    var count = 0
    var index = range.lowerBound
    while index < range.upperBound {
      let next = min((index | (perWord - 1)) + 1, range.upperBound)
      let word = words[index >> perWordBits]
      if !hasZero(word) {
        count += next - index
      } else if word != 0 {
        for each in index..<next where get(words, each) != 0 { count += 1 }
      }
      index = next
    }
    return count
  }

  /// The first entry from `index` on, below `end`, whose refcount is not zero.
  func firstNonzero(_ words: [UInt64], from index: Int, to end: Int) -> Int? {
    var index = index
    while index < end {
      if words[index >> perWordBits] == 0 {
        index = (index | (perWord - 1)) + 1
      } else if get(words, index) != 0 {
        return index
      } else {
        index += 1
      }
    }
    return nil
  }

  /// The first entry from `index` on, below `end`, whose refcount is zero.
  func firstZero(_ words: [UInt64], from index: Int, to end: Int) -> Int? {
    var index = index
    while index < end {
      if !hasZero(words[index >> perWordBits]) {
        index = (index | (perWord - 1)) + 1
      } else if get(words, index) == 0 {
        return index
      } else {
        index += 1
      }
    }
    return nil
  }

  /// Whether one of a word's refcounts is zero: the lowest one that is borrows when 1 is taken
  /// from all of them, and so gets the highest bit, which it did not have.
  private func hasZero(_ word: UInt64) -> Bool {
    let highBits = lowBits << UInt64(bits - 1)
    return (word &- lowBits) & ~word & highBits != 0
  }
}
