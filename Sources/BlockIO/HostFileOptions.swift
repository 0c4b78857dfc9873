package import BlockCore

/// How a file is opened.
///
/// Isolation: value.
package struct HostFileOptions: Sendable {
  /// Whether QEMU's lock bytes are taken.
  package enum Locking: Hashable, Sendable {
    /// Never: who opens a file so answers for it that nobody else writes.
    case off
    /// Where the system has OFD locks.
    case automatic
    /// Always; where the system has no OFD locks the file is not opened.
    case required

    /// Whether locks are taken, where `isSupported` finds out whether the system has them. Throws
    /// `unsupported`, and what that throws.
    package func takesLocks(
      where isSupported: () throws(BlockError) -> Bool
    ) throws(BlockError) -> Bool {
      if self == .off { return false }
      if try isSupported() { return true }
      guard self == .automatic else {
        throw BlockError(
          .unsupported, "File lock requested but OFD locking syscall is unavailable")
      }
      return false
    }
  }

  /// Open for reading only.
  package var isReadOnly: Bool
  /// Open for reading only where writing is not allowed, instead of failing.
  package var autoReadOnly: Bool
  /// Pass the page cache by (`cache.direct`).
  package var direct: Bool
  /// Make nothing durable (`cache.no-flush`): for images that nobody will miss.
  package var noFlush: Bool
  /// Whether locks are taken.
  package var locking: Locking
  /// Those of a reader who puts up with writers (QEMU's `force-share`, `-U`); read-only files only.
  package var forceShare: Bool
  /// With `direct`, ask for whole pages only, as of a disk whose blocks are as large; for tests.
  package var usesWholePages = false
  /// Where batches get a ring from; nil where none is used.
  package var rings: RingPool?

  /// Read and write, through the page cache, durable, locked, unless told otherwise.
  package init(
    isReadOnly: Bool = false, autoReadOnly: Bool = false, direct: Bool = false,
    noFlush: Bool = false, locking: Locking = .automatic, forceShare: Bool = false,
    rings: RingPool? = nil
  ) {
    self.isReadOnly = isReadOnly
    self.autoReadOnly = autoReadOnly
    self.direct = direct
    self.noFlush = noFlush
    self.locking = locking
    self.forceShare = forceShare
    self.rings = rings
  }

  /// The claim that goes with a file that is open for reading only, or for writing.
  func claim(readOnly: Bool) -> LockClaim {
    guard !forceShare else { return .forceShare }
    return readOnly ? .reader : .writer
  }
}
