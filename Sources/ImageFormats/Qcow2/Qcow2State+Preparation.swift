import BlockCore

extension Qcow2State {
  /// Refuses to open for writing what may only be read, by name.
  mutating func requireWritable(dropBitmaps: Bool) throws(BlockError) {
    if let readOnlyReason { throw readOnlyReason }
    if header.incompatible.contains(.corrupt) {
      throw BlockError(
        .corrupt, "The image is marked corrupt and can only be read", file: name, offset: 72)
    }
    try requireNoBitmaps(dropBitmaps)
    dropsBitmaps = dropBitmaps
  }

  private func requireNoBitmaps(_ dropBitmaps: Bool) throws(BlockError) {
    if header.bitmapCount == 0 || dropBitmaps { return }
    throw BlockError(
      .unsupported,
      "The image has \(header.bitmapCount) persistent bitmap(s), which writing would make "
        + "wrong; drop them with --drop-bitmaps, or open it read-only",
      file: name)
  }

  /// Refuses what may only be read whatever its refcounts are, before they are repaired: bitmaps,
  /// L2 tables that several L1 entries name, and others that overlap; these mark the image.
  mutating func requireRepairable(dropBitmaps: Bool) throws(BlockError) {
    try requireNoBitmaps(dropBitmaps)
    try requireSoleTables()
  }

  /// Readies the header for the first change: feature bits that promise something about data that
  /// is about to change are cleared ("autoclear"), durably, before anything else is written, and
  /// bitmaps that may go do so: not before, so that an image that is only looked at keeps them.
  ///
  /// Crash: before `autoclearBeforeWrite` the bits are there or not, and nothing contradicts them;
  /// after it they are gone. Tests: `CrashSmokeTests` (an image with a bitmap).
  mutating func prepareToWrite() throws(BlockError) {
    if let readOnlyReason { throw readOnlyReason }
    if isPrepared { return }
    if !header.autoclear.isEmpty {
      try io.writeWords([0], .header, at: 88)
      try io.flush(.autoclearBeforeWrite)
      header.autoclear = []
    }
    if dropsBitmaps, header.bitmapCount > 0 { try dropBitmaps() }
    isPrepared = true
  }
}
