/// The kinds of calls that a storage takes.
///
/// Isolation: value.
package enum StorageOperation: Hashable, Sendable, CaseIterable {
  case size, read, write, writeZeroes, discard, flush, truncate, extent, reopen, close
}
