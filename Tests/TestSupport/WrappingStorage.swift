package import BlockCore
package import BlockIO

/// A storage that passes on to another whatever it does not do itself.
///
/// A batch passes as its single requests. A copy goes on from the innermost storage of its source:
/// what stands around that does not see it read.
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
  package func prefetch(_ range: ByteRange) { base.prefetch(range) }
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
  package func copy(
    from source: any Storage, _ range: ByteRange, to offset: Int
  ) throws(BlockError) -> Int {
    try base.copy(from: source.innermost, range, to: offset)
  }
  package func reopen(readOnly: Bool) throws(BlockError) { try base.reopen(readOnly: readOnly) }
  package func close() throws(BlockError) { try base.close() }
}

extension Storage {
  /// The storage itself, or the one that all the others are put around.
  package var innermost: any Storage { (self as? any WrappingStorage)?.base.innermost ?? self }
}
