package import BlockCore

extension Qcow2Image {
  /// Whole clusters get the zero flag (version 2: no entry, or zeros as data), parts of clusters
  /// are written.
  ///
  /// Crash: each cluster reads as before or zero: its L2 entry changes in `Qcow2State.writeOut`,
  /// and only when that is durable does its reference go; before, it is a leak.
  ///
  /// Tests: `CrashSmokeTests` (write), `EveryFaultTests`.
  package func writeZeroes(
    _ range: ByteRange, deallocate: Bool, over backing: (any BackingView)?
  ) throws(BlockError) {
    precondition(range.upper <= virtualSize)
    let whole = wholeClusters(of: range, diskEnd: virtualSize)
    if whole.isEmpty { return try zeroPart(range, over: backing) }
    try zeroPart(ByteRange(from: range.lower, to: whole.lower), over: backing)
    try zeroClusters(whole, deallocate: deallocate, over: backing)
    if whole.upper < range.upper {
      try zeroPart(ByteRange(from: whole.upper, to: range.upper), over: backing)
    }
  }

  /// Crash: as with `writeZeroes`; each cluster reads as before or as discarded, and its space is
  /// given back last.
  ///
  /// Tests: `CrashSmokeTests` (write), `EveryFaultTests`, `GuestDiscardTests`.
  package func discard(_ range: ByteRange, _ mode: DiscardMode) throws(BlockError) {
    precondition(range.upper <= virtualSize)
    let replacement: L2Entry
    switch mode {
    case .fallsThrough: replacement = .empty
    case .readsZero where backingLink == nil: replacement = .empty
    case .readsZero where hasZeroFlag: replacement = .plainZero
    // Version 2 over a backing file: nothing can be dropped without showing what is underneath.
    case .readsZero: return
    }
    try forEachRun(in: wholeClusters(of: range, diskEnd: virtualSize)) { (run) throws(BlockError) in
      let isDone = replacement == .empty ? .unallocated : ImageContent.zero(reservedAt: nil)
      if run.content == isDone { return }
      try replaceEntries(run.range, replacement)
    }
  }

  /// The clusters that `range` covers; the disk's last cluster counts as covered where the disk
  /// ends inside it.
  private func wholeClusters(of range: ByteRange, diskEnd: Int) -> ByteRange {
    let upper = range.upper == diskEnd ? diskEnd.roundedUp(to: clusterSize) : range.upper
    return ByteRange(from: range.lower, to: max(range.lower, upper)).narrowed(to: clusterSize)
  }

  /// Makes whole clusters read zero.
  private func zeroClusters(
    _ range: ByteRange, deallocate: Bool, over backing: (any BackingView)?
  ) throws(BlockError) {
    try forEachRun(in: range) { (run) throws(BlockError) in
      try zeroRun(run, deallocate: deallocate, over: backing)
    }
  }

  private func zeroRun(
    _ run: ImageMapping, deallocate: Bool, over backing: (any BackingView)?
  ) throws(BlockError) {
    let showsThrough = if let backing { try !backing.readsZero(run.range) } else { false }
    switch run.content {
    case .unallocated where !showsThrough: return
    case .zero(nil): return
    case .zero where !deallocate: return
    default: break
    }
    if hasZeroFlag {
      try flagZero(run.range, deallocate: deallocate)
    } else if showsThrough, run.range.length > clusterSize {
      // Bytes are stored only over those clusters in which something shows.
      let half = (run.range.length / 2).roundedUp(to: clusterSize)
      for part in [run.range.prefix(half), run.range.dropping(half)] {
        try zeroRun(
          ImageMapping(range: part, content: run.content), deallocate: deallocate, over: backing)
      }
    } else if showsThrough || !deallocate {
      try writeZeroBytes(run.range, over: backing)
    } else {
      try replaceEntries(run.range, .empty)
    }
  }

  /// Sets the zero flag; keeps the clusters where they are this image's own and are to stay.
  private func flagZero(_ range: ByteRange, deallocate: Bool) throws(BlockError) {
    try change { (state) throws(BlockError) in
      try state.makeRoom()
      try state.setEntries(range) { (_, old) in
        !deallocate && old.isCopied && !old.isCompressed ? old.markedZero : .plainZero
      }
    }
  }

  private func replaceEntries(_ range: ByteRange, _ entry: L2Entry) throws(BlockError) {
    try change { (state) throws(BlockError) in
      try state.makeRoom()
      try state.setEntries(range) { (_, _) in entry }
    }
  }

  /// Calls `body` for each run of `range`, whole clusters, in pieces small enough that the lock is
  /// never held for long.
  private func forEachRun(
    in range: ByteRange, _ body: (ImageMapping) throws(BlockError) -> Void
  ) throws(BlockError) {
    var rest = range.intersection(ByteRange(at: 0, length: virtualSize))
    while !rest.isEmpty {
      let runs = try mappings(in: rest, limit: 64)
      for run in runs {
        var left = run.range.widened(to: clusterSize)
        while !left.isEmpty {
          // An unallocated run may be terabytes long; the others are pieces of one table.
          let piece = left.prefix(geometry.bytesPerL2Table)
          try body(ImageMapping(range: piece, content: run.content))
          left = left.dropping(piece.length)
        }
        rest = rest.dropping(run.range.length)
      }
    }
  }

  /// Makes bytes inside one cluster read zero, unless they do.
  private func zeroPart(
    _ range: ByteRange, over backing: (any BackingView)?
  ) throws(BlockError) {
    if range.isEmpty { return }
    if try readsZero(range, over: backing) { return }
    try writeZeroBytes(range, over: backing)
  }

  private func writeZeroBytes(
    _ range: ByteRange, over backing: (any BackingView)?
  ) throws(BlockError) {
    let onDisk = range.intersection(ByteRange(at: 0, length: virtualSize))
    let zeros = [UInt8](repeating: 0, count: min(onDisk.length, Limits.copyWindowBytes))
    var rest = onDisk
    while !rest.isEmpty {
      let part = rest.prefix(zeros.count)
      try zeros.withBytes { (bytes) throws(BlockError) in
        try write(bytes.extracting(0..<part.length), at: part.lower, over: backing)
      }
      rest = rest.dropping(part.length)
    }
  }
}
