import BlockCore
import BlockIO

/// Where a write goes, as far as one run of clusters takes it.
///
/// Isolation: value.
struct WritePlan: Sendable {
  enum Kind: Sendable {
    /// The clusters are this image's own and hold data: bytes are overwritten where they are.
    case inPlace
    /// Clusters that were reserved for zeros: all their bytes are written, then the zero flag goes.
    /// While it is there it hides what they hold, and it goes durably only after a flush, so that
    /// no write can be seen torn, nor tear a neighbour's bytes.
    case reserved
    /// New clusters, to be linked once they are filled. `isVirgin`: they read zero.
    case new(isVirgin: Bool)
  }
  var kind: Kind
  /// The guest bytes of the clusters.
  var guest: ByteRange
  /// The host offset of the first cluster.
  var host: Int
}

extension Qcow2State {
  /// Finds or takes the clusters for a write of `range`, as many neighbours as there are.
  mutating func planWrite(_ range: ByteRange) throws(BlockError) -> WritePlan {
    try makeRoom()
    let start = range.lower.roundedDown(to: geometry.clusterSize)
    let clusters = geometry.clusters(for: range.upper - start)
    switch try writeTarget(start) {
    case .own(let host):
      return try extend(
        WritePlan(kind: .inPlace, guest: clusterRange(start, 1), host: host), upTo: clusters)
    case .reserved(let host):
      return try extend(
        WritePlan(kind: .reserved, guest: clusterRange(start, 1), host: host), upTo: clusters)
    case .none:
      var wanted = 1
      var clusters = clusters
      if io.storage.traits.isDevice {
        // The table's cluster comes first, or data could take the last one, and not be named.
        _ = try writableTable(l1Index: geometry.l1Index(start))
        clusters = min(clusters, geometry.l2Entries - geometry.l2Index(start))
      }
      while wanted < clusters, case .none = try writeTarget(start + wanted << geometry.clusterBits)
      {
        wanted += 1
      }
      let run = try allocate(upTo: wanted)
      do {
        try requireUnnamed(run, near: start)
      } catch {
        freeUnreferenced(run)
        throw error
      }
      return WritePlan(
        kind: .new(isVirgin: takeVirginity(run)), guest: clusterRange(start, run.count),
        host: geometry.offset(of: run.first))
    }
  }

  private func clusterRange(_ guest: Int, _ count: Int) -> ByteRange {
    ByteRange(at: guest, length: count << geometry.clusterBits)
  }

  /// What a write to the cluster at `guest` finds.
  enum WriteTarget: Equatable {
    case own(Int)
    case reserved(Int)
    case none
  }

  mutating func writeTarget(_ guest: Int) throws(BlockError) -> WriteTarget {
    let word = try l2Word(guest: guest)
    // Without COPIED a snapshot shares the cluster; a table that a snapshot shares has no entry
    // with COPIED.
    guard L2Entry(word: word).isCopied else {
      // What the write will let go of must be there to be let go of: known before a byte is copied.
      _ = try freed(by: L2Entry(word: word), guest: guest)
      try vetTables()
      return .none
    }
    switch try meaning(of: word, guest: guest) {
    case .data(let host):
      try requireOwn(host, guest: guest)
      return .own(host)
    case .zero(let host?):
      try requireOwn(host, guest: guest)
      return .reserved(host)
    case .unallocated, .zero(nil), .compressed: return .none
    }
  }

  /// Lengthens a plan over clusters of the same kind that lie next to each other in the file too.
  private mutating func extend(
    _ plan: WritePlan, upTo clusters: Int
  ) throws(BlockError) -> WritePlan {
    var plan = plan
    var count = 1
    while count < clusters {
      let host = plan.host + count << geometry.clusterBits
      let next = try writeTarget(plan.guest.lower + count << geometry.clusterBits)
      switch plan.kind {
      case .inPlace where next == .own(host): count += 1
      case .reserved where next == .reserved(host): count += 1
      default:
        clustersDone(&plan, count)
        return try checked(plan)
      }
    }
    clustersDone(&plan, count)
    return try checked(plan)
  }

  private func clustersDone(_ plan: inout WritePlan, _ count: Int) {
    plan.guest.length = count << geometry.clusterBits
  }

  /// Refuses a plan whose clusters hold metadata: an entry lies, and the write would destroy them.
  private mutating func checked(_ plan: WritePlan) throws(BlockError) -> WritePlan {
    let run = ClusterRun(
      first: geometry.cluster(at: plan.host), count: geometry.clusters(for: plan.guest.length))
    if let region = try overlapsMetadata(run) {
      throw markCorrupt(
        "A write to guest offset \(plan.guest.lower) would overwrite the \(region.rawValue)",
        at: plan.host)
    }
    return plan
  }

  /// Points the L2 entries of a filled plan at its clusters; what they named before goes.
  mutating func link(_ plan: WritePlan) throws(BlockError) {
    let bits = geometry.clusterBits
    try setEntries(plan.guest) { (index, _) in L2Entry(owned: plan.host + index << bits) }
  }

  /// Replaces the L2 entries of `guest`, whole clusters: the n-th becomes `entry(n)`, which sees
  /// the old one too. References of the old entries go once the new ones are durable, except to a
  /// cluster that the new entry keeps.
  ///
  /// All that can fail comes first: either all entries change or none, so that a caller knows
  /// whether its new clusters are named.
  mutating func setEntries(
    _ guest: ByteRange, _ entry: (_ index: Int, _ old: L2Entry) -> L2Entry
  ) throws(BlockError) {
    let clusters = geometry.clusters(for: guest.length)
    var parts: [(slice: TableSlice, first: Int, new: [UInt64])] = []
    var freed: [ClusterRun] = []
    var index = 0
    while index < clusters {
      let position = guest.lower + index << geometry.clusterBits
      let table = try writableTable(l1Index: geometry.l1Index(position))
      let (slice, first) = try l2Slice(table: table, guest: position)
      let count = min(clusters - index, l2.sliceWords - first)
      // A dirty slice stays in the cache until its words have changed.
      try l2.markDirty(slice, io)
      let old = slice.words
      let new = (0..<count).map { entry(index + $0, L2Entry(word: old[first + $0])).word }
      try addFreed(
        by: first..<first + count, isVetted: &slice.isVetted, unless: new, guest: position,
        to: &freed
      ) { old[$0] }
      parts.append((slice, first, new))
      index += count
    }
    for part in parts {
      part.slice.words.replaceSubrange(part.first..<part.first + part.new.count, with: part.new)
    }
    for run in freed { ClusterRun.append(run, to: &pendingFrees) }
  }

  /// Adds to `freed` the clusters that lose a reference when the entries `range` of a slice, the
  /// first of which maps `guest`, become `new`, or go where that is nil; `word` are the slice's
  /// words. An entry that keeps its cluster lets none go. `isVetted` says whether no two entries of
  /// the slice are known to call one cluster their own.
  /// - Throws: `corrupt` for an entry that names metadata, a cluster that counts as free already,
  ///   or one that another entry calls its own: letting go of it would free what others hold.
  mutating func addFreed(
    by range: Range<Int>, isVetted: inout Bool, unless new: [UInt64]?, guest: Int,
    to freed: inout [ClusterRun], _ word: (Int) -> UInt64
  ) throws(BlockError) {
    func isKept(_ index: Int) -> Bool {
      guard let new = new.map({ L2Entry(word: $0[index - range.lowerBound]) }) else { return false }
      let old = L2Entry(word: word(index))
      return old.clusterOffset != 0 && !old.isCompressed && !new.isCompressed
        && new.clusterOffset == old.clusterOffset
    }
    var index = range.lowerBound
    while index < range.upperBound {
      let guest = guest + (index - range.lowerBound) << geometry.clusterBits
      let old = L2Entry(word: word(index))
      if isKept(index) {
        _ = try meaning(of: old.word, guest: guest)
        index += 1
        continue
      }
      var count = runLength(from: index, below: range.upperBound, word)
      if new != nil { count = (1..<count).first { isKept(index + $0) } ?? count }
      if let run = try self.freed(by: old, count: count, guest: guest) {
        if old.isCopied, !isVetted {
          try requireSoleNames(near: guest, word)
          isVetted = true
        }
        try vetTables()
        ClusterRun.append(run, to: &freed)
      }
      index += count
    }
  }

  /// The clusters that lose a reference when `count` entries go of which `old`, the first, tells
  /// (`runLength`); it maps `guest`.
  /// - Throws: `corrupt` for an entry that names metadata, or a cluster that counts as free.
  private mutating func freed(
    by old: L2Entry, count: Int = 1, guest: Int
  ) throws(BlockError) -> ClusterRun? {
    if old.word == 0 { return nil }
    let run: ClusterRun
    switch try meaning(of: old.word, guest: guest) {
    case .unallocated, .zero(nil): return nil
    case .data(let offset), .zero(let offset?):
      run = ClusterRun(first: geometry.cluster(at: offset), count: count)
    case .compressed(let cluster):
      let (first, count) = cluster.clusters(geometry)
      run = ClusterRun(first: first, count: count)
    }
    let region = try overlapsMetadata(run)
    let free = try firstFree(in: run)
    if count > 1, region != nil || free != nil {
      // One of them is wrong: which, it says by itself.
      for index in 0..<count {
        let step = index << geometry.clusterBits
        _ = try freed(by: L2Entry(word: old.word + UInt64(step)), guest: guest + step)
      }
    }
    if let region {
      throw markCorrupt(
        "The L2 entry for guest offset \(guest) names the \(region.rawValue)",
        at: geometry.offset(of: run.first))
    }
    if let free {
      if old.isCopied { throw ownCountsAsFree(free, guest: guest) }
      throw markCorrupt(
        "Cluster \(free.index) counts as free, but the L2 entry for guest offset \(guest) names it",
        at: geometry.offset(of: free))
    }
    return run
  }
}
