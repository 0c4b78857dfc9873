import BlockCore
import BlockIO

/// New clusters for pieces of a guest's disk that lie apart: side by side in the file, in the order
/// of the pieces, as far as free clusters are.
///
/// Isolation: value.
struct GatherPlan: Sendable {
  /// Neighbouring guest clusters that get neighbouring new ones.
  struct Part: Hashable, Sendable {
    /// The clusters, and where their bytes stand in memory.
    var piece: GuestPiece
    /// The host offset of the first cluster.
    var host: Int
    /// Whether the new clusters read zero before anything is written.
    var isVirgin: Bool
  }
  /// What gets new clusters.
  var parts: [Part] = []
  /// What has to be written in another way: it has clusters, or covers only a part of one.
  var others: [GuestPiece] = []
}

extension Qcow2State {
  /// Takes clusters for what `pieces` cover of whole clusters that have none of their own: one
  /// change of the refcounts for all of them. After a failure none is taken.
  mutating func planGathered(_ pieces: [GuestPiece]) throws(BlockError) -> GatherPlan {
    try makeRoom()
    var plan = GatherPlan()
    var fresh: [GuestPiece] = []
    // On a device tables come before data (`planWrite`).
    if io.storage.traits.isDevice {
      plan.others = pieces
      return plan
    }
    for piece in pieces { try sort(piece, fresh: &fresh, others: &plan.others) }
    do {
      try takeClusters(for: fresh, &plan)
    } catch {
      abandon(plan.parts)
      throw error
    }
    return plan
  }

  /// Splits `piece` into what gets new clusters and what does not.
  private mutating func sort(
    _ piece: GuestPiece, fresh: inout [GuestPiece], others: inout [GuestPiece]
  ) throws(BlockError) {
    let size = geometry.clusterSize
    var position = piece.range.lower
    while position < piece.range.upper {
      let start = position.roundedDown(to: size)
      let end = min(start + size, piece.range.upper)
      let part = GuestPiece(
        ByteRange(from: position, to: end), at: piece.place + position - piece.range.lower)
      if part.range.length == size, case .none = try writeTarget(start) {
        GuestPiece.append(part, to: &fresh)
      } else {
        GuestPiece.append(part, to: &others)
      }
      position = end
    }
  }

  private mutating func takeClusters(
    for pieces: [GuestPiece], _ plan: inout GatherPlan
  ) throws(BlockError) {
    var wanted = pieces.reduce(0) { $0 + geometry.clusters(for: $1.range.length) }
    var run = ClusterRun(first: HostCluster(index: 0), count: 0)
    var isVirgin = false
    for piece in pieces {
      var rest = piece
      while !rest.range.isEmpty {
        if run.count == 0 {
          run = try allocate(upTo: wanted)
          isVirgin = takeVirginity(run)
          wanted -= run.count
        }
        let count = min(run.count, geometry.clusters(for: rest.range.length))
        let length = count << geometry.clusterBits
        let part = GuestPiece(rest.range.prefix(length), at: rest.place)
        plan.parts.append(
          GatherPlan.Part(piece: part, host: geometry.offset(of: run.first), isVirgin: isVirgin))
        run = ClusterRun(first: run.first + count, count: run.count - count)
        rest = GuestPiece(rest.range.dropping(length), at: rest.place + length)
      }
    }
    for part in plan.parts { try requireUnnamed(clusters(of: part), near: part.piece.range.lower) }
  }

  /// Points the L2 entries of filled clusters at them. What could not be linked is given back.
  mutating func link(_ parts: [GatherPlan.Part]) throws(BlockError) {
    let bits = geometry.clusterBits
    for (index, part) in parts.enumerated() {
      do {
        try makeRoom()
        try setEntries(part.piece.range) { (index, _) in L2Entry(owned: part.host + index << bits) }
      } catch {
        abandon(Array(parts[index...]))
        throw error
      }
    }
  }

  /// Gives back clusters that were taken and not linked.
  mutating func abandon(_ parts: [GatherPlan.Part]) {
    for part in parts { freeUnreferenced(clusters(of: part)) }
  }

  private func clusters(of part: GatherPlan.Part) -> ClusterRun {
    ClusterRun(
      first: geometry.cluster(at: part.host),
      count: geometry.clusters(for: part.piece.range.length))
  }
}
