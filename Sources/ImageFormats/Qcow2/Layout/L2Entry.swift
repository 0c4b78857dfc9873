import BlockCore

/// One standard entry of an L2 table (specification, "L2 table entry").
///
/// Isolation: value.
package struct L2Entry: Hashable, Sendable {
  /// The word as it stands on disk, in native byte order.
  package var word: UInt64

  package init(word: UInt64) { self.word = word }
  /// An entry for a cluster that only this table uses.
  package init(owned cluster: Int) { word = UInt64(cluster) | L2Entry.copied }

  /// Nothing: the backing file shows through.
  package static let empty = L2Entry(word: 0)
  /// Reads zero without a cluster (version 3).
  package static let plainZero = L2Entry(word: zeroFlag)

  private static let copied: UInt64 = 1 << 63
  private static let compressedFlag: UInt64 = 1 << 62
  private static let zeroFlag: UInt64 = 1
  private static let offsetMask: UInt64 = 0x00ff_ffff_ffff_fe00

  /// "Bit 63: 0 for clusters that are unused, compressed or require COW."
  package var isCopied: Bool { word & L2Entry.copied != 0 }
  /// "Bit 62: 0 for standard clusters, 1 for compressed clusters."
  package var isCompressed: Bool { word & L2Entry.compressedFlag != 0 }
  /// "Bit 0: If set to 1, the cluster reads as all zeros." A standard cluster of version 3 only.
  package var isZero: Bool { word & L2Entry.zeroFlag != 0 }
  /// "Bits 9 - 55: host cluster offset"; 0 for none.
  package var clusterOffset: Int { Int(word & L2Entry.offsetMask) }
  /// The same cluster, kept, but read as zero.
  package var markedZero: L2Entry { L2Entry(word: word | L2Entry.zeroFlag) }

  /// The host bytes that it names, whether they are there or not; empty where it names none.
  func bytes(_ geometry: ClusterGeometry) -> ByteRange {
    if isCompressed {
      let cluster = CompressedCluster(word: word, geometry)
      return ByteRange(at: cluster.offset, length: cluster.length)
    }
    return ByteRange(at: clusterOffset, length: clusterOffset == 0 ? 0 : geometry.clusterSize)
  }

  /// What an entry means.
  package enum Meaning: Hashable, Sendable {
    case unallocated
    case zero(reserved: Int?)
    case data(Int)
    case compressed(CompressedCluster)
  }

  /// Decodes the entry; everything that the format forbids is an error that names the word.
  /// `version` 2 has no zero flag.
  package func meaning(
    _ geometry: ClusterGeometry, version: Int
  ) throws(L2EntryFault) -> Meaning {
    if isCompressed {
      if isCopied { throw .compressedAndCopied }
      return .compressed(CompressedCluster(word: word, geometry))
    }
    if word == 0 { return .unallocated }
    if word & ~(L2Entry.copied | L2Entry.zeroFlag | L2Entry.offsetMask) != 0 {
      throw .reservedBits
    }
    let offset = clusterOffset
    if geometry.offsetInCluster(offset) != 0 { throw .unaligned }
    if isZero {
      if version < 3 { throw .zeroFlagInVersion2 }
      return .zero(reserved: offset == 0 ? nil : offset)
    }
    return offset == 0 ? .unallocated : .data(offset)
  }
}

/// What can be wrong with an L2 entry by itself.
package enum L2EntryFault: Error, Hashable, Sendable {
  case compressedAndCopied
  case reservedBits
  case unaligned
  case zeroFlagInVersion2

  /// The fault in words.
  package var sentence: String {
    switch self {
    case .compressedAndCopied: "is compressed and marked COPIED at once"
    case .reservedBits: "has reserved bits set"
    case .unaligned: "points to an offset that is not cluster aligned"
    case .zeroFlagInVersion2: "has the zero flag, which version 2 does not know"
    }
  }
}

/// Where a compressed cluster lies (specification, "Compressed Clusters Descriptor").
///
/// Isolation: value.
package struct CompressedCluster: Hashable, Sendable {
  /// First byte of the compressed data; not aligned.
  package var offset: Int
  /// Bytes up to the end of its last sector: the data may end before.
  package var length: Int

  init(word: UInt64, _ geometry: ClusterGeometry) {
    let bits = geometry.compressedOffsetBits
    // At most 61 bits, so it fits an Int; the sector count has at most 13 bits.
    offset = Int(word & ((1 << bits) - 1))
    let extraSectors = Int((word & ((1 << 62) - 1)) >> bits)
    length = (extraSectors + 1) * 512 - (offset & 511)
  }

  /// The host clusters that it touches: each carries one reference for it.
  package func clusters(_ geometry: ClusterGeometry) -> (first: HostCluster, count: Int) {
    let first = geometry.cluster(at: offset)
    let last = geometry.cluster(at: offset + length - 1)
    return (first, last.index - first.index + 1)
  }
}
