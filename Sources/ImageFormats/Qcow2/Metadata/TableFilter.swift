/// Tells of a cluster that it is surely no table, or that it may be one: a Bloom filter, so that
/// its memory is bounded however many tables an image has.
///
/// Tables that go are not taken out; they only cost a closer look later.
///
/// Isolation: value.
struct TableFilter {
  private var words: [UInt64]
  private let shift: UInt64
  private(set) var count = 0
  private let capacity: Int

  /// Bits for each table: one answer in a thousand is "may be" for no reason.
  private static let bitsPerTable = 64
  /// 4 MiB: with four million tables, the most that there can be, one answer in twenty is.
  private static let mostBits = 1 << 25
  /// The capacity of the smallest filter, 4 KiB.
  static let leastCapacity = 512

  /// A filter for about `capacity` tables, a power of two.
  init(capacity: Int) {
    let bits = min(capacity * TableFilter.bitsPerTable, TableFilter.mostBits)
    self.capacity = bits == TableFilter.mostBits ? .max : capacity
    words = [UInt64](repeating: 0, count: bits / 64)
    shift = UInt64(64 - bits.trailingZeroBitCount)
  }

  /// Whether a larger filter would tell better.
  var isCrowded: Bool { count > capacity }
  /// The memory that it takes, in bytes.
  var bytes: Int { words.count * 8 }

  /// Two places, from the high bits of products with odd constants (multiplicative hashing).
  private func places(_ cluster: HostCluster) -> (UInt64, UInt64) {
    let index = UInt64(cluster.index)
    return ((index &* 0x9e37_79b9_7f4a_7c15) >> shift, (index &* 0xc2b2_ae3d_27d4_eb4f) >> shift)
  }

  private func has(_ bit: UInt64) -> Bool { words[Int(bit >> 6)] >> (bit & 63) & 1 != 0 }

  /// Whether a table may lie in `cluster`.
  func mayContain(_ cluster: HostCluster) -> Bool {
    let (first, second) = places(cluster)
    return has(first) && has(second)
  }

  /// Notes a table. Returns whether one may lie there already.
  @discardableResult
  mutating func insert(_ cluster: HostCluster) -> Bool {
    let (first, second) = places(cluster)
    let wasThere = has(first) && has(second)
    words[Int(first >> 6)] |= 1 << (first & 63)
    words[Int(second >> 6)] |= 1 << (second & 63)
    count += 1
    return wasThere
  }
}
