package import BlockCore

/// Every shift and mask of a qcow2 image: how guest offsets, host offsets, clusters, tables and
/// refcounts relate. Nothing else in the driver shifts an offset.
///
/// Isolation: value.
package struct ClusterGeometry: Hashable, Sendable {
  /// log2 of the cluster's length: 9 (512 B) to 21 (2 MiB).
  package let clusterBits: Int
  /// log2 of a refcount's width in bits: 0 (1 bit) to 6 (64 bits).
  package let refcountOrder: Int
  /// Length of one L2 entry: 8; extended L2 entries would be 16.
  package let l2EntryBytes: Int

  /// A geometry from checked header fields.
  package init(clusterBits: Int, refcountOrder: Int, l2EntryBytes: Int = 8) {
    precondition((9...21).contains(clusterBits) && (0...6).contains(refcountOrder))
    self.clusterBits = clusterBits
    self.refcountOrder = refcountOrder
    self.l2EntryBytes = l2EntryBytes
  }

  // MARK: Clusters

  /// Length of a cluster in bytes.
  package var clusterSize: Int { 1 << clusterBits }
  /// The cluster that holds the host byte `offset`.
  package func cluster(at offset: Int) -> HostCluster { HostCluster(index: offset >> clusterBits) }
  /// The host byte at which `cluster` begins.
  package func offset(of cluster: HostCluster) -> Int { cluster.index << clusterBits }
  /// How many clusters hold `bytes` bytes.
  package func clusters(for bytes: Int) -> Int {
    (bytes >> clusterBits) + (bytes & (clusterSize - 1) == 0 ? 0 : 1)
  }
  /// The host bytes of `count` clusters from `first` on.
  package func bytes(of first: HostCluster, count: Int) -> ByteRange {
    ByteRange(at: offset(of: first), length: count << clusterBits)
  }
  /// The byte of a cluster that `offset` is.
  package func offsetInCluster(_ offset: Int) -> Int { offset & (clusterSize - 1) }

  // MARK: L1 and L2

  /// log2 of the number of entries of one L2 table.
  package var l2Bits: Int { clusterBits - l2EntryBytes.trailingZeroBitCount }
  /// Number of entries of one L2 table.
  package var l2Entries: Int { 1 << l2Bits }
  /// Guest bytes that one L2 table maps.
  package var bytesPerL2Table: Int { 1 << (l2Bits + clusterBits) }
  /// The L1 entry for a guest offset.
  package func l1Index(_ guest: Int) -> Int { guest >> (l2Bits + clusterBits) }
  /// The entry, inside its L2 table, for a guest offset.
  package func l2Index(_ guest: Int) -> Int { (guest >> clusterBits) & (l2Entries - 1) }
  /// The guest offset that entry `l2Index` of the table `l1Index` maps.
  package func guestOffset(l1Index: Int, l2Index: Int) -> Int {
    ((l1Index << l2Bits) + l2Index) << clusterBits
  }
  /// How many L1 entries a disk of `size` bytes needs.
  package func l1Entries(for size: Int) -> Int {
    clusters(for: size).dividedRoundingUp(by: l2Entries)
  }

  // MARK: Refcounts

  /// Width of a refcount in bits.
  package var refcountBits: Int { 1 << refcountOrder }
  /// The largest refcount.
  package var maximumRefcount: UInt64 { refcountBits == 64 ? .max : (1 << refcountBits) - 1 }
  /// Refcounts in one refcount block.
  package var refcountsPerBlock: Int { (clusterSize * 8) >> refcountOrder }
  /// The refcount table's entry for `cluster`.
  package func refcountBlockIndex(_ cluster: HostCluster) -> Int {
    cluster.index / refcountsPerBlock
  }
  /// The place of `cluster` inside its refcount block.
  package func refcountIndexInBlock(_ cluster: HostCluster) -> Int {
    cluster.index & (refcountsPerBlock - 1)
  }

  // MARK: Slices

  /// The unit in which tables are read, cached and written: a page, or a smaller cluster.
  package var sliceBytes: Int { min(clusterSize, Limits.tableSliceBytes) }

  // MARK: Compressed clusters

  /// The bits of a compressed L2 entry that hold the host offset; the sector count follows.
  package var compressedOffsetBits: Int { 62 - (clusterBits - 8) }
}

/// The number of a cluster of the image file: 0 holds the header. Apart from byte offsets, so that
/// the two cannot be mixed.
///
/// Isolation: value.
package struct HostCluster: Hashable, Comparable, Sendable {
  package var index: Int

  package init(index: Int) { self.index = index }

  package static func < (a: HostCluster, b: HostCluster) -> Bool { a.index < b.index }
  /// The cluster `count` further on.
  package static func + (a: HostCluster, count: Int) -> HostCluster {
    HostCluster(index: a.index + count)
  }
}
