import BlockCore
import BlockIO

extension Qcow2State {
  /// Brings all that has collected to the disk, in the order that keeps every crash state whole.
  ///
  /// On disk after each flush:
  /// 1. data, refcounts: new clusters count as used, nothing refers to them (a leak);
  /// 2. refcount table entries of new blocks (a leak);
  /// 3. L2 entries; tables that are new are not reachable yet (a leak);
  /// 4. L1 entries: the new view;
  /// 5. references that went are counted down only now, so that no entry ever names a free cluster.
  ///
  /// Tests: `CrashSmokeTests`, which also leaves out each of these flushes; with hardly any memory
  /// for tables (`small-cache`, `no-cache`), so that it runs in the midst of every operation.
  ///
  /// After a failure what was not written is still pending, and a repeated call goes on.
  ///
  /// Returns the clusters that are free now, whose space the file still has: who takes one takes it
  /// with that.
  mutating func writeOutTables() throws(BlockError) -> [ClusterRun] {
    guard hasPendingChanges else { return [] }
    defer { noteWaiting() }
    try growFile(to: try usedEnd())
    try refblocks.writeDirty(io)
    try io.flush(.dataAndRefcountsBeforeL2)
    if refcountTable.pendingCount > 0 {
      try refcountTable.writePending(io)
      try io.flush(.refcountTableBeforeL2)
    }
    try l2.writeDirty(io)
    if l1.pendingCount > 0 {
      try io.flush(.l2TablesBeforeL1)
      try l1.writePending(io)
    }
    if pendingFrees.isEmpty { return [] }
    try io.flush(.entriesBeforeFree)
    return try applyFrees()
  }

  /// The same, and gives the space of what is free now back.
  mutating func writeOut() throws(BlockError) { try returnSpace(of: try writeOutTables()) }

  /// Gives the space of free clusters back to the file system.
  func returnSpace(of runs: [ClusterRun]) throws(BlockError) {
    for run in runs {
      try io.storage.discard(geometry.bytes(of: run.first, count: run.count))
    }
  }

  /// All that was written is durable afterwards, freed clusters included; `function` asks for it.
  /// Crash: before `final` as in `writeOut`; after it nothing is lost. Tests: `CrashSmokeTests`.
  mutating func flush(in function: String = #function) throws(BlockError) {
    try writeOut()
    try flushWritten(in: function)
  }

  /// The end of `flush`: what `writeOutTables` has written is durable afterwards, and the counts
  /// that went down. Crash: as there. Tests: `CrashSmokeTests`.
  mutating func flushWritten(in function: String = #function) throws(BlockError) {
    try refblocks.writeDirty(io)
    try cutAhead()
    try io.flush(.final, in: function)
  }

  /// Writes header bytes, inside one sector, that make other structures the live ones. Where the
  /// write fails, what is there afterwards decides: the new bytes are as good as written, the old
  /// ones are a failure without consequence; when neither can be known, nothing more is written.
  /// Tests: `HeaderSwitchTests`.
  mutating func switchHeader(_ bytes: [UInt8], at offset: Int) throws(BlockError) {
    do {
      try io.write(bytes, .header, at: offset)
    } catch let failure {
      var found = [UInt8](repeating: 0, count: bytes.count)
      do throws(BlockError) {
        _ = try found.withMutableBytes { (target) throws(BlockError) in
          try io.storage.read(into: &target, at: offset)
        }
      } catch {
        readOnlyReason = failure.prefixed("It is not known which tables the header names")
        throw failure
      }
      if found != bytes { throw failure }
    }
  }

  /// Writes out where so much has collected that more would not fit, and makes the filter of tables
  /// larger where there are many more than it was made for. Before each change, so that what waits
  /// is more than it may be by what one change brings, at most: a table's references.
  mutating func makeRoom() throws(BlockError) {
    if isRoomShort { try writeOut() }
    guard tablePlaces.isCrowded else { return }
    try noteTables()
    if let readOnlyReason { throw readOnlyReason }
  }

  /// Whether so much has collected that more would not fit.
  var isRoomShort: Bool {
    noteWaiting()
    return pages.needsWriteOut || waitingChanges > Limits.waitingChanges
  }

  /// Changes that wait beside the pages.
  private var waitingChanges: Int {
    l1.pendingCount + refcountTable.pendingCount + pendingFrees.count
  }

  /// Has them count against the budget.
  private func noteWaiting() { pages.waitingBytes = waitingChanges * Qcow2State.waitingCost }

  /// What a change takes: 16 bytes, the room that a list or a dictionary keeps free for as many
  /// again, and its place in the sorted list by which it is written.
  private static var waitingCost: Int { 48 }

  private var hasPendingChanges: Bool {
    !l2.dirty.isEmpty || !refblocks.dirty.isEmpty || l1.pendingCount > 0
      || refcountTable.pendingCount > 0 || !pendingFrees.isEmpty
  }

  /// Counts down the references that are durably gone. Returns the clusters without any.
  ///
  /// No flush has to come between the lower count and the next use of a cluster. Nothing durable
  /// names it any more, and who takes it next counts it up again and has that flushed before an
  /// entry or the header names it (`dataAndRefcountsBeforeL2`): whichever counts a crash leaves
  /// until then, too high a one is a leak, and 0 is true. Tests: `CrashSmokeTests`, whose writes go
  /// on in freed clusters.
  private mutating func applyFrees() throws(BlockError) -> [ClusterRun] {
    let frees = pendingFrees.sorted { $0.first < $1.first }
    pendingFrees.removeAll()
    var freed: [ClusterRun] = []
    for run in frees {
      try adjustRefcounts(run, up: false)
      try forEachFreeRun(in: run) { ClusterRun.append($0, to: &freed) }
    }
    return freed
  }
}
