import BlockCore

/// Where a refcount of any width lies in the 64-bit words of a slice: wider than a byte they are
/// big-endian, so the first is the most significant; inside a byte "bit 0 is the least
/// significant".
///
/// Isolation: value.
struct RefcountWords {
  private let order: Int

  init(_ geometry: ClusterGeometry) { order = geometry.refcountOrder }

  /// Refcounts in one word.
  var perWord: Int { 64 >> order }
  private var bits: Int { 1 << order }
  private var mask: UInt64 { bits == 64 ? .max : (1 << UInt64(bits)) - 1 }

  /// The word that holds entry `index`, and how far it is shifted.
  private func place(_ index: Int) -> (word: Int, shift: Int) {
    let inWord = index & (perWord - 1)
    if order >= 3 { return (index / perWord, 64 - bits * (inWord + 1)) }
    let perByte = 8 >> order
    return (index / perWord, 56 - 8 * (inWord / perByte) + bits * (inWord & (perByte - 1)))
  }

  func get(_ words: [UInt64], _ index: Int) -> UInt64 {
    let (word, shift) = place(index)
    return words[word] >> UInt64(shift) & mask
  }

  func set(_ words: inout [UInt64], _ index: Int, to value: UInt64) {
    let (word, shift) = place(index)
    words[word] = words[word] & ~(mask << UInt64(shift)) | value << UInt64(shift)
  }

  /// The first entry from `index` on, below `end`, whose refcount is zero.
  func firstZero(_ words: [UInt64], from index: Int, to end: Int) -> Int? {
    var index = index
    while index < end {
      if get(words, index) == 0 { return index }
      index += 1
    }
    return nil
  }
}
