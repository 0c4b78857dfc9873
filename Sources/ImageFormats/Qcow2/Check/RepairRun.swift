import BlockCore
import BlockIO

/// A check, the repair of what it found, and a second check that tells what is left.
///
/// What a crash leaves after each step:
/// 1. Entries for zeros lose a cluster that is not aligned: they read zero with it or without,
///    whatever becomes of its refcount. They are flushed, because nothing else may be wrong; then
///    all is checked afresh.
/// 2. Refcounts that are too high, or too low and not 0, are corrected where they are: each is as
///    it was, or right. Where something in use has none, or blocks are broken, all are built anew
///    past the file's end, on a device in clusters that nothing refers to, flushed, and switched to
///    by one write of header bytes 48 to 59, inside one sector, flushed: the old refcounts, or the
///    right ones.
/// 3. COPIED flags follow: some of them are right already. The faults that are left are found again
///    by the next check.
/// 4. The dirty and corrupt bits are cleared last, when all before is durable
///    (`repairBeforeClean`); before `clean` they are there or not, and the image is sound either
///    way.
///
/// Tests: `CrashSmokeTests` (repair: leaks, all, at open, zeros, shared), `DeviceRepairTests`,
/// `CheckRepairTests`.
///
/// Isolation: value of one owner.
struct RepairRun: ~Copyable {
  let io: MetadataIO
  private let repair: CheckRepair
  private var run: CheckRun
  private var phase = Phase.check
  /// What the check found whose faults are repaired, and the first sentences of all.
  private var found = CheckResult()
  private var findings: [String] = []
  private var foundWrongFlags = 0
  private var changes = EntryChanges()
  private var hasZeroed = false
  private var writesL1 = false

  private enum Phase {
    case check
    case plan
    case zeros(entry: Int)
    case correct(block: Int)
    case rebuild(RefcountRebuild, block: Int)
    case flags(entry: Int)
    case checkAgain
    case done
  }

  init(_ io: MetadataIO, _ repair: CheckRepair) throws(BlockError) {
    self.io = io
    self.repair = repair
    run = try CheckRun(io)
  }

  var progress: (done: Int, total: Int) {
    let check = run.progress
    switch phase {
    case .check, .zeros: return (check.done, 2 * check.total)
    case .checkAgain: return (check.total + check.done, 2 * check.total)
    case .plan, .correct, .rebuild, .flags: return (check.done, 2 * check.done)
    case .done: return (2 * check.done, 2 * check.done)
    }
  }

  /// The last check's numbers, and what has been repaired.
  var result: CheckResult {
    var result = run.check.result
    guard case .done = phase, repair != .none else { return result }
    let wrong = found.corruptions - foundWrongFlags
    let stillWrong = result.corruptions - run.check.wrongFlags
    result.corruptionsFixed = max(0, wrong - stillWrong) + changes.flags + changes.zeroed
    result.leaksFixed = max(0, found.leaks - result.leaks)
    result.findings = findings
    return result
  }

  /// Does a piece. Returns whether that was the last.
  mutating func step() throws(BlockError) -> Bool {
    phase = try advance(phase)
    if case .done = phase { return true }
    return false
  }

  private mutating func advance(_ phase: Phase) throws(BlockError) -> Phase {
    switch phase {
    case .check:
      guard try run.step() else { return .check }
      return repair == .none ? .done : .plan
    case .plan:
      if !hasZeroed { findings = run.check.result.findings }
      if repair == .all, !hasZeroed, run.check.unalignedZeros > 0 {
        hasZeroed = true
        try run.check.prepareRepair()
        return .zeros(entry: 0)
      }
      found = run.check.result
      foundWrongFlags = run.check.wrongFlags
      return try plan()
    case .zeros(let entry):
      if let next = try run.check.correctEntries(.zeros, from: entry, &changes) {
        return .zeros(entry: next)
      }
      return try checkZeroed()
    case .correct(let block):
      if let next = try run.check.nextBlock(from: block) {
        try run.check.correct(block: next, raises: raises)
        return .correct(block: next + 1)
      }
      try io.flush(.repairedRefcountsBeforeFlags)
      return try afterRefcounts()
    case .rebuild(let rebuild, let block):
      if block < rebuild.blocks.count {
        try run.check.write(rebuild, block: block)
        return .rebuild(rebuild, block: block + 1)
      }
      try run.check.switchRefcounts(to: rebuild)
      return try afterRefcounts()
    case .flags(let entry):
      let flags = EntryRepair.flags(writesL1: writesL1)
      if let next = try run.check.correctEntries(flags, from: entry, &changes) {
        return .flags(entry: next)
      }
      try io.flush(.repairBeforeClean)
      return try checkAgain()
    case .checkAgain:
      guard try run.step() else { return .checkAgain }
      try markClean()
      return .done
    case .done:
      return .done
    }
  }

  /// Whether refcounts that are too low are counted up where they are.
  private var raises: Bool {
    repair == .all && run.check.missing > 0 && run.check.forgotten == 0 && !run.check.hasExcess
  }

  /// Decides how the refcounts become right.
  private mutating func plan() throws(BlockError) -> Phase {
    let now = run.check.result
    // What a snapshot holds whose entry cannot be read looks leaked, and must not be freed.
    let isKnown = !run.check.hasUnknownReferences
    let rebuilds =
      repair == .all && isKnown && run.check.needsRebuild && !run.check.hasExcess
    let corrects =
      isKnown && !run.check.isStructureBroken && run.check.badBlocks.isEmpty
      && (now.leaks > 0 || raises)
    guard rebuilds || corrects || now.corruptions > 0 else {
      try markClean()
      return .done
    }
    try run.check.prepareRepair()
    if rebuilds { return .rebuild(try run.check.planRebuild(), block: 0) }
    return corrects ? .correct(block: 0) : try afterRefcounts()
  }

  /// Flags follow refcounts: where those are not right, they stay.
  private mutating func afterRefcounts() throws(BlockError) -> Phase {
    let areRight =
      !run.check.hasUnknownReferences
      && (repair == .all ? !run.check.hasExcess : !run.check.hasWrongRefcounts)
    let othersRemain = run.check.result.corruptions > run.check.wrongFlags
    guard areRight, run.check.header.l1Entries > 0, repair == .all || !othersRemain else {
      return try checkAgain()
    }
    writesL1 = run.check.isL1Sound
    return .flags(entry: 0)
  }

  /// Checks all afresh after entries for zeros were repaired, which may have been all that was
  /// wrong.
  private mutating func checkZeroed() throws(BlockError) -> Phase {
    try io.flush(.repairBeforeClean)
    run = try CheckRun(io)
    return .check
  }

  private mutating func checkAgain() throws(BlockError) -> Phase {
    run = try CheckRun(io)
    return .checkAgain
  }

  /// Clears the dirty and corrupt bits of an image in which nothing is wrong.
  private func markClean() throws(BlockError) {
    let header = run.check.header
    let bits = header.incompatible.intersection([.dirty, .corrupt])
    guard run.check.result.isSound, !bits.isEmpty else { return }
    try io.writeWords([header.incompatible.subtracting(bits).rawValue], .header, at: 72)
    try io.flush(.clean)
  }
}

extension RepairRun {
  /// Repairs an image that was not closed cleanly, before it is opened for writing, as QEMU does:
  /// its refcounts may be late. One that is marked corrupt waits for a repair by name; one that
  /// cannot be written to for another reason is refused, and nothing has changed but the mark of
  /// one whose tables overlap.
  ///
  /// Crash: as in any repair; the dirty bit goes last, so that the next open repairs again. Tests:
  /// `CrashSmokeTests` (repair at open), `CheckDirtyTests`.
  ///
  /// - Throws: `corrupt` where damage is left; `unsupported`.
  static func repairDirty(
    _ io: MetadataIO, _ pages: PageStore, dropBitmaps: Bool
  ) throws(BlockError) {
    let storage = io.storage
    let size = try storage.size()
    let header = try Qcow2State.readHeader(storage, fileSize: size)
    guard header.incompatible.contains(.dirty), !header.incompatible.contains(.corrupt) else {
      return
    }
    pages.removeAll()
    var state = Qcow2State(header, io, pages, fileEnd: size)
    state.snapshots = try SnapshotPlaces(header, io, fileEnd: size)
    try state.requireRepairable(dropBitmaps: dropBitmaps)
    var run = try RepairRun(io, .all)
    while try !run.step() {}
    let result = run.result
    guard result.isSound else {
      throw BlockError(
        .corrupt,
        "Could not repair dirty image: \(result.corruptions) errors are left, the first found is: "
          + (result.findings.first ?? ""), file: storage.name, offset: 72)
    }
  }
}

extension Qcow2Check {
  /// Readies the header for a repair: autoclear bits that are not known here are cleared, and the
  /// extension of bitmaps that are no bitmaps any more goes, because their clusters do.
  ///
  /// Crash: each is there or gone; their clusters count as used until after `bitmapsBeforeFree`.
  /// Tests: `CrashSmokeTests` (each flush left out), `CheckRepairTests`.
  fileprivate func prepareRepair() throws(BlockError) {
    let known = header.autoclear.intersection([.bitmaps, .rawExternalData])
    if known != header.autoclear {
      try io.writeWords([known.rawValue], .header, at: 88)
      try io.flush(.autoclearBeforeWrite)
    }
    guard !known.contains(.bitmaps),
      let last = header.extensions.last,
      header.extensionData(HeaderExtension.bitmaps) != nil
    else { return }
    guard last.type == HeaderExtension.bitmaps else {
      throw BlockError(
        .unsupported,
        "The stale bitmaps cannot be dropped: other header extensions follow theirs",
        file: io.storage.name)
    }
    let offset = header.extensions.dropLast().reduce(header.headerLength) { $0 + $1.encodedLength }
    // Type 0 ends the list.
    try io.write([0, 0, 0, 0], .header, at: offset)
    try io.flush(.bitmapsBeforeFree)
  }
}
