/// How a file is opened.
///
/// Isolation: value.
package struct HostFileOptions: Hashable, Sendable {
  /// Which of QEMU's lock bytes are taken.
  package enum Locking: Hashable, Sendable {
    /// None.
    case off
    /// Those of a writer or of a reader, as the file is open. None where the system has no OFD
    /// locks.
    case automatic
    /// Those of a reader who puts up with writers (QEMU's `force-share`, `-U`); read-only files
    /// only.
    case forceShare
  }

  /// Open for reading only.
  package var isReadOnly: Bool
  /// Open for reading only where writing is not allowed, instead of failing.
  package var autoReadOnly: Bool
  /// Pass the page cache by (`cache.direct`).
  package var direct: Bool
  /// Make nothing durable (`cache.no-flush`): for images that nobody will miss.
  package var noFlush: Bool
  /// The locks to take.
  package var locking: Locking

  /// Read and write, through the page cache, durable, locked, unless told otherwise.
  package init(
    isReadOnly: Bool = false, autoReadOnly: Bool = false, direct: Bool = false,
    noFlush: Bool = false, locking: Locking = .automatic
  ) {
    self.isReadOnly = isReadOnly
    self.autoReadOnly = autoReadOnly
    self.direct = direct
    self.noFlush = noFlush
    self.locking = locking
  }

  /// The claim that goes with a file that is open for reading only, or for writing.
  func claim(readOnly: Bool) -> LockClaim {
    switch locking {
    case .off: .nothing
    case .automatic: readOnly ? .reader : .writer
    case .forceShare: .forceShare
    }
  }
}
