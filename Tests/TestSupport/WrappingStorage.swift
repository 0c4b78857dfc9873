package import BlockCore
package import BlockIO

/// A storage that passes on to another whatever it does not do itself.
///
/// A batch passes as its single requests, and copies are not offered, so that all bytes go through
/// `read` and `write`.
///
/// Isolation: any thread.
package protocol WrappingStorage: Storage {
  /// The storage that calls go on to.
  var base: any Storage { get }
}

extension WrappingStorage {
  package var name: String { base.name }
  package var traits: StorageTraits { base.traits }
  package func size() throws(BlockError) -> Int { try base.size() }
  package func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) -> Int {
    try base.read(into: &bytes, at: offset)
  }
  package func write(_ bytes: RawSpan, at offset: Int) throws(BlockError) {
    try base.write(bytes, at: offset)
  }
  package func writeZeroes(_ range: ByteRange, deallocate: Bool) throws(BlockError) {
    try base.writeZeroes(range, deallocate: deallocate)
  }
  package func reserve(_ range: ByteRange) throws(BlockError) { try base.reserve(range) }
  package func discard(_ range: ByteRange) throws(BlockError) { try base.discard(range) }
  package func flush() throws(BlockError) { try base.flush() }
  package func truncate(to size: Int) throws(BlockError) { try base.truncate(to: size) }
  package func extent(in range: ByteRange) throws(BlockError) -> StorageExtent {
    try base.extent(in: range)
  }
  package func reopen(readOnly: Bool) throws(BlockError) { try base.reopen(readOnly: readOnly) }
  package func close() throws(BlockError) { try base.close() }
}
