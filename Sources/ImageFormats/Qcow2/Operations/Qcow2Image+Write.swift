package import BlockCore
package import BlockIO
import Synchronization

extension Qcow2Image {
  /// Order: data first, then refcounts, then the L2 entry (`Qcow2State.writeOut`).
  ///
  /// Crash: clusters that are overwritten in place hold, sector by sector, the old bytes or the new
  /// ones. For new clusters it leaves the old view, and leaks at worst, until `writeOut` has made
  /// the L2 entry durable; then the new view, and the replaced clusters as leaks until their
  /// references go. Clusters and tables of internal snapshots are never written, but replaced.
  ///
  /// Tests: `CrashSmokeTests` (write, fill; over a snapshot too), `EveryFaultTests`.
  package func write(
    _ range: ByteRange, over backing: (any BackingView)?,
    filling fill: (_ part: ByteRange, any Storage, _ offset: Int) throws(BlockError) -> Void
  ) throws(BlockError) {
    precondition(range.upper <= virtualSize)
    var rest = range
    while !rest.isEmpty {
      let wanted = rest
      let plan = try change { (state) throws(BlockError) in try state.planWrite(wanted) }
      let part = plan.guest.intersection(rest)
      do {
        try carryOut(plan, for: part, over: backing, filling: fill)
      } catch {
        abandon(plan)
        throw error
      }
      rest = rest.dropping(part.length)
    }
  }

  /// Writes the bytes of `part` to a plan's clusters, with what belongs around them in new ones,
  /// and links them.
  private func carryOut(
    _ plan: WritePlan, for part: ByteRange, over backing: (any BackingView)?,
    filling fill: WriteFiller
  ) throws(BlockError) {
    let target = plan.host + part.lower - plan.guest.lower
    switch plan.kind {
    case .inPlace:
      return try fill(part, dataStorage, target)
    case .reserved:
      try fillZeros(ByteRange(from: plan.guest.lower, to: part.lower), plan)
      try fillZeros(ByteRange(from: part.upper, to: plan.guest.upper), plan)
    case .new(let isVirgin):
      let head = ByteRange(from: plan.guest.lower, to: part.lower)
      let tail = ByteRange(from: part.upper, to: plan.guest.upper)
      try fillOld(head, plan, isVirgin: isVirgin, over: backing)
      try fillOld(tail, plan, isVirgin: isVirgin, over: backing)
    }
    try fill(part, dataStorage, target)
    try change { (state) throws(BlockError) in try state.link(plan) }
  }

  /// Gives back what a plan took and did not link.
  private func abandon(_ plan: WritePlan) {
    guard case .new = plan.kind else { return }
    let run = ClusterRun(
      first: geometry.cluster(at: plan.host), count: geometry.clusters(for: plan.guest.length))
    state.withLock { $0.freeUnreferenced(run) }
  }

  /// Copy on write: brings the old view of `range` to where it lies in the plan's new clusters.
  private func fillOld(
    _ range: ByteRange, _ plan: WritePlan, isVirgin: Bool, over backing: (any BackingView)?
  ) throws(BlockError) {
    if range.isEmpty { return }
    let onDisk = range.intersection(ByteRange(at: 0, length: virtualSize))
    var isZero = onDisk.isEmpty
    if !isZero { isZero = try readsZero(onDisk, over: backing) }
    if isZero {
      if !isVirgin { try fillZeros(range, plan) }
      return
    }
    var bytes = [UInt8](repeating: 0, count: range.length)
    try bytes.withMutableBytes { (target) throws(BlockError) in
      try target.withPart(0..<onDisk.length) { (target) throws(BlockError) in
        try readView(into: &target, at: onDisk.lower, over: backing)
      }
    }
    try bytes.withBytes { (source) throws(BlockError) in
      try dataStorage.write(source, at: plan.host + range.lower - plan.guest.lower)
    }
  }

  /// Makes the part of the plan's clusters for `range` read zero.
  private func fillZeros(_ range: ByteRange, _ plan: WritePlan) throws(BlockError) {
    if range.isEmpty { return }
    let host = ByteRange(
      at: plan.host + range.lower - plan.guest.lower, length: range.length)
    try dataStorage.writeZeroes(host, deallocate: false)
  }

  /// Whether `range` is known to read zero through this layer over `backing`.
  func readsZero(
    _ range: ByteRange, over backing: (any BackingView)?
  ) throws(BlockError) -> Bool {
    var rest = range
    while !rest.isEmpty {
      for run in try mappings(in: rest, limit: 64) {
        switch run.content {
        case .zero: break
        case .unallocated:
          if let backing, !(try backing.readsZero(run.range)) { return false }
        case .data, .compressed: return false
        }
        rest = rest.dropping(run.range.length)
      }
    }
    return true
  }

  /// Fills `bytes` with what this layer over `backing` shows.
  private func readView(
    into bytes: inout MutableRawSpan, at offset: Int, over backing: (any BackingView)?
  ) throws(BlockError) {
    let whole = ByteRange(at: offset, length: bytes.byteCount)
    var rest = whole
    while !rest.isEmpty {
      for run in try mappings(in: rest, limit: 64) {
        let start = run.range.lower - offset
        try bytes.withPart(start..<start + run.range.length) { (part) throws(BlockError) in
          if run.content != .unallocated {
            try read(into: &part, at: run.range.lower)
          } else if let backing {
            try backing.read(into: &part, at: run.range.lower)
          } else {
            part.zero()
          }
        }
        rest = rest.dropping(run.range.length)
      }
    }
  }
}
