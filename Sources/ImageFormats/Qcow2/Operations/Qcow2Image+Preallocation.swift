package import BlockCore

extension Qcow2Image {
  /// Whether many more clusters count as used than `allocated` bytes of the file have space for, as
  /// in an image that was made with preallocated metadata: clusters that have L2 entries may be
  /// holes of the file then, which a guest reads as zeros. In other images a hole inside a cluster
  /// is the file system's affair.
  ///
  /// Counts until it knows: all refcounts of a sparse file at worst, none of one without holes.
  package func isPreallocated(allocated: Int) throws(BlockError) -> Bool {
    let real = allocated / clusterSize
    // What a file system takes for itself is no preallocation: a tenth, and two clusters.
    let threshold = max(real * 10 / 9, real + 2)
    return try look { (state) throws(BlockError) in try state.uses(clusters: threshold) }
  }
}

extension Qcow2State {
  /// Whether at least `threshold` clusters of the file have a reference.
  fileprivate mutating func uses(clusters threshold: Int) throws(BlockError) -> Bool {
    let end = geometry.clusters(for: fileEnd)
    guard end >= threshold else { return false }
    var used = 0
    var cluster = HostCluster(index: 0)
    while cluster.index < end, used < threshold {
      let (count, next) = try usedClusters(from: cluster, below: end)
      used += count
      cluster = next
    }
    return used >= threshold
  }
}
