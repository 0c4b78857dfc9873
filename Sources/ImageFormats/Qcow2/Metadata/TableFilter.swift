/// Tells of a cluster that it is surely no table, or that it may be one, in a memory that is
/// bounded however many tables an image has: a bit for each cluster where the file has few enough
/// of them, else a Bloom filter.
///
/// Tables that go are not taken out; they only cost a closer look later.
///
/// Isolation: value.
struct TableFilter {
  private var words: [UInt64]
  private let shift: UInt64
  /// Clusters below have a bit of their own; of the others two bits each are shared.
  private let ownBits: Int
  /// Tables that share bits.
  private var sharing = 0
  private let capacity: Int

  /// Bits for each table that shares them: one answer in a thousand is "may be" for no reason.
  private static let bitsPerTable = 64
  /// 4 MiB: a bit for each cluster of 2 TiB in clusters of 64 KiB. With four million tables in a
  /// longer file, the most that there can be, one answer in twenty is "may be" for no reason.
  private static let mostBits = 1 << 25
  /// The capacity of the smallest filter, 4 KiB.
  static let leastCapacity = 512

  /// A filter for about `capacity` tables, a power of two, in a file of `clusters` clusters.
  init(capacity: Int, clusters: Int) {
    let bits = min(capacity * TableFilter.bitsPerTable, TableFilter.mostBits)
    self.capacity = bits == TableFilter.mostBits ? .max : capacity
    ownBits = clusters <= bits ? bits : 0
    words = [UInt64](repeating: 0, count: bits / 64)
    shift = UInt64(64 - bits.trailingZeroBitCount)
  }

  /// Whether a larger filter would tell better.
  var isCrowded: Bool { sharing > capacity }
  /// The memory that it takes, in bytes.
  var bytes: Int { words.count * 8 }

  /// Two places, from the high bits of products with odd constants (multiplicative hashing); one
  /// and the same for a cluster that has a bit of its own.
  private func places(_ cluster: HostCluster) -> (UInt64, UInt64) {
    let index = UInt64(cluster.index)
    if cluster.index < ownBits { return (index, index) }
    return ((index &* 0x9e37_79b9_7f4a_7c15) >> shift, (index &* 0xc2b2_ae3d_27d4_eb4f) >> shift)
  }

  private func has(_ bit: UInt64) -> Bool { words[Int(bit >> 6)] >> (bit & 63) & 1 != 0 }

  /// Whether a table may lie in `cluster`.
  func mayContain(_ cluster: HostCluster) -> Bool {
    let (first, second) = places(cluster)
    return has(first) && has(second)
  }

  /// Whether a table may lie in one of the clusters of `run`.
  func mayContain(_ run: ClusterRun) -> Bool {
    guard run.end.index <= ownBits else {
      return (0..<run.count).contains { mayContain(run.first + $0) }
    }
    var index = run.first.index
    while index < run.end.index {
      let count = min(64 - index % 64, run.end.index - index)
      if words[index / 64] & UInt64.ones(count, from: index % 64) != 0 { return true }
      index += count
    }
    return false
  }

  /// Notes a table. Returns whether one may lie there already.
  @discardableResult
  mutating func insert(_ cluster: HostCluster) -> Bool {
    let (first, second) = places(cluster)
    let wasThere = has(first) && has(second)
    words[Int(first >> 6)] |= 1 << (first & 63)
    words[Int(second >> 6)] |= 1 << (second & 63)
    if cluster.index >= ownBits { sharing += 1 }
    return wasThere
  }

  /// Notes what `other`, made for the same capacity and file, has.
  mutating func formUnion(_ other: TableFilter) {
    precondition(words.count == other.words.count && ownBits == other.ownBits)
    for index in words.indices { words[index] |= other.words[index] }
    sharing += other.sharing
  }
}
