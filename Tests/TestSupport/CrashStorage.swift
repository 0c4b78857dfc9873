package import BlockCore
package import BlockIO
import Synchronization

/// A storage over a `CrashImage`: what an engine sees that opens the files after a power loss.
///
/// Isolation: any thread; state behind `state`.
package final class CrashStorage: Storage {
  package let name: String
  package let traits = StorageTraits()
  private let state: Mutex<CrashImage>

  /// The file `name` of these bytes.
  package init(_ image: CrashImage = CrashImage(), name: String) {
    self.name = name
    state = Mutex(image)
  }

  /// Its bytes at this moment.
  package var image: CrashImage { state.withLock { $0 } }

  package func size() throws(BlockError) -> Int { state.withLock { $0.size } }
  @discardableResult
  package func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) -> Int {
    state.withLock { $0.read(into: &bytes, at: offset) }
  }
  package func write(_ bytes: RawSpan, at offset: Int) throws(BlockError) {
    let copy = bytes.copied()
    state.withLock { $0.write(copy[...], at: offset) }
  }
  package func writeZeroes(_ range: ByteRange, deallocate: Bool) throws(BlockError) {
    state.withLock { $0.zero(range) }
  }
  package func discard(_ range: ByteRange) throws(BlockError) {
    state.withLock { $0.punch(range) }
  }
  package func flush() throws(BlockError) {}
  package func truncate(to size: Int) throws(BlockError) {
    state.withLock { $0.truncate(to: size) }
  }
  package func extent(in range: ByteRange) throws(BlockError) -> StorageExtent {
    StorageExtent(range: range, isData: true)
  }
  package func reopen(readOnly: Bool) throws(BlockError) {}
  package func close() throws(BlockError) {}
}
