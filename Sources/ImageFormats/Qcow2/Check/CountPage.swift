import BlockCore

/// The counters of neighbouring clusters, and for each whether its stored refcount is exactly 1.
///
/// A list of those clusters of which there is something to say while they are few; then one byte a
/// cluster, and four where a count does not fit a byte.
///
/// Isolation: part of its owner.
final class CountPage {
  /// How many clusters.
  static let clusters = 4096
  /// So many fit the list: about what the bytes take.
  private static let mostListed = 512
  private static let leastBytes = 112
  private static let narrowBytes = clusters + clusters / 8

  /// What it takes, about.
  private(set) var bytes = CountPage.leastBytes
  /// The list, by slot, while `ones` is empty.
  private var listed: [ListedCount] = []
  private var narrow: [UInt8] = []
  /// The counts where one of them does not fit a byte; then `narrow` is empty.
  private var wide: [UInt32] = []
  private var ones: [UInt64] = []

  /// One cluster of a list, in a word.
  private struct ListedCount {
    var count: UInt32
    var slot: UInt16
    var isStoredOne: Bool
  }

  private var isListed: Bool { ones.isEmpty }

  func count(_ slot: Int) -> UInt32 {
    if isListed {
      let index = place(of: slot)
      return isAt(index, slot) ? listed[index].count : 0
    }
    return wide.isEmpty ? UInt32(narrow[slot]) : wide[slot]
  }

  /// Calls `body` with each slot of `part` that has references, in order, until it returns false.
  func forEachCounted(in part: Range<Int>, _ body: (_ slot: Int, _ count: UInt32) -> Bool) {
    if isListed {
      var index = place(of: part.lowerBound)
      while index < listed.count, Int(listed[index].slot) < part.upperBound {
        let entry = listed[index]
        if entry.count > 0, !body(Int(entry.slot), entry.count) { return }
        index += 1
      }
    } else if wide.isEmpty {
      var slot = part.lowerBound
      while slot < part.upperBound {
        if slot % 8 == 0, slot + 8 <= part.upperBound, eightCounts(from: slot) == 0 {
          slot += 8
          continue
        }
        if narrow[slot] > 0 && !body(slot, UInt32(narrow[slot])) { return }
        slot += 1
      }
    } else {
      for slot in part where wide[slot] > 0 && !body(slot, wide[slot]) { return }
    }
  }

  /// Counts `times` references to each cluster of `part`. Returns how many would have been above
  /// `maximum`.
  func add(_ part: Range<Int>, _ times: UInt32, _ maximum: UInt32) -> Int {
    if isListed {
      if listed.count + part.count <= CountPage.mostListed {
        var excess = 0
        for slot in part {
          let index = makeListed(slot)
          excess += CountPage.add(times, to: &listed[index].count, maximum)
        }
        return excess
      }
      spread()
    }
    return addNarrowly(part, times, maximum) ? 0 : addWidely(part, times, maximum)
  }

  /// Adds where all sums fit a byte; else returns false and has done nothing.
  private func addNarrowly(_ part: Range<Int>, _ times: UInt32, _ maximum: UInt32) -> Bool {
    let most = min(255, maximum)
    guard wide.isEmpty, times <= most else { return false }
    let room = UInt8(most - times)
    var highest: UInt8 = 0
    for slot in part { highest = max(highest, narrow[slot]) }
    if highest > room { return false }
    for slot in part { narrow[slot] += UInt8(times) }
    return true
  }

  private func addWidely(_ part: Range<Int>, _ times: UInt32, _ maximum: UInt32) -> Int {
    if wide.isEmpty {
      wide = narrow.map(UInt32.init)
      narrow = []
      bytes += CountPage.clusters * 3
    }
    var excess = 0
    for slot in part { excess += CountPage.add(times, to: &wide[slot], maximum) }
    return excess
  }

  private static func add(_ times: UInt32, to count: inout UInt32, _ maximum: UInt32) -> Int {
    let sum = UInt64(count) + UInt64(times)
    count = UInt32(min(sum, UInt64(maximum)))
    return Int(max(sum, UInt64(maximum)) - UInt64(maximum))
  }

  /// Takes one reference back.
  func subtract(_ slot: Int) {
    if isListed {
      listed[makeListed(slot)].count -= 1
    } else if wide.isEmpty {
      narrow[slot] -= 1
    } else {
      wide[slot] -= 1
    }
  }

  /// Notes which stored refcounts are exactly 1, `count` of them; `refcounts` are those of the
  /// slots from `first` on.
  func noteStoredOnes(of refcounts: [UInt64], from first: Int, _ count: Int) {
    if isListed {
      if listed.count + count <= CountPage.mostListed {
        for (place, refcount) in refcounts.enumerated() where refcount == 1 {
          listed[makeListed(first + place)].isStoredOne = true
        }
        return
      }
      spread()
    }
    var place = 0
    while place < refcounts.count {
      let slot = first + place
      let length = min(64 - slot % 64, refcounts.count - place)
      var word: UInt64 = 0
      for index in 0..<length {
        word |= (refcounts[place + index] == 1 ? 1 : 0) &<< UInt64(slot % 64 + index)
      }
      ones[slot / 64] |= word
      place += length
    }
  }

  /// Appends the counts of `part`.
  func append(_ part: Range<Int>, to list: inout [UInt32]) {
    if isListed {
      let start = list.count - part.lowerBound
      list.append(contentsOf: repeatElement(0, count: part.count))
      forEachCounted(in: part) { (slot, count) in
        list[start + slot] = count
        return true
      }
    } else if wide.isEmpty {
      list.append(contentsOf: narrow[part].lazy.map(UInt32.init))
    } else {
      list.append(contentsOf: wide[part])
    }
  }

  /// How many of `part` have a stored refcount of exactly 1.
  func storedOnes(_ part: Range<Int>) -> Int {
    var found = 0
    if isListed {
      var index = place(of: part.lowerBound)
      while index < listed.count, Int(listed[index].slot) < part.upperBound {
        if listed[index].isStoredOne { found += 1 }
        index += 1
      }
      return found
    }
    var slot = part.lowerBound
    while slot < part.upperBound {
      let shift = slot % 64
      let length = min(64 - shift, part.upperBound - slot)
      let mask: UInt64 = length == 64 ? .max : (1 << UInt64(length)) - 1
      found += (ones[slot / 64] >> UInt64(shift) & mask).nonzeroBitCount
      slot += length
    }
    return found
  }

  /// Whether all of `part` have one reference and a stored refcount of exactly 1; may say no where
  /// they have.
  func areOnes(_ part: Range<Int>) -> Bool {
    guard !isListed, wide.isEmpty, part.lowerBound % 8 == 0, part.upperBound % 8 == 0,
      storedOnes(part) == part.count
    else { return false }
    return stride(from: part.lowerBound, to: part.upperBound, by: 8).allSatisfy {
      eightCounts(from: $0) == 0x0101_0101_0101_0101
    }
  }

  /// The counts of eight slots that have a byte each, a byte each.
  private func eightCounts(from slot: Int) -> UInt64 {
    narrow.withBytes { $0.bigEndian(at: slot) }
  }

  // MARK: The list

  /// How many listed slots lie below `slot`.
  private func place(of slot: Int) -> Int {
    // Most come in order.
    guard let last = listed.last, Int(last.slot) >= slot else { return listed.count }
    var (low, high) = (0, listed.count)
    while low < high {
      let middle = (low + high) / 2
      if Int(listed[middle].slot) < slot { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private func isAt(_ index: Int, _ slot: Int) -> Bool {
    index < listed.count && Int(listed[index].slot) == slot
  }

  private func makeListed(_ slot: Int) -> Int {
    let index = place(of: slot)
    if isAt(index, slot) { return index }
    let before = listed.capacity
    listed.insert(ListedCount(count: 0, slot: UInt16(slot), isStoredOne: false), at: index)
    // The first few have their place in the least.
    if before > 0 {
      bytes += (listed.capacity - before) * MemoryLayout<ListedCount>.stride
    }
    return index
  }

  /// Gives each cluster its own counter.
  private func spread() {
    let list = listed
    listed = []
    narrow = [UInt8](repeating: 0, count: CountPage.clusters)
    ones = [UInt64](repeating: 0, count: CountPage.clusters / 64)
    bytes = CountPage.leastBytes + CountPage.narrowBytes
    let isWide = list.contains { $0.count > 255 }
    if isWide {
      wide = [UInt32](repeating: 0, count: CountPage.clusters)
      narrow = []
      bytes += CountPage.clusters * 3
    }
    for entry in list {
      let slot = Int(entry.slot)
      if isWide { wide[slot] = entry.count } else { narrow[slot] = UInt8(entry.count) }
      if entry.isStoredOne { ones[slot / 64] |= 1 << UInt64(slot % 64) }
    }
  }
}
