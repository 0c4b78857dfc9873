import BlockCore
import BlockIO
import Dispatch
import Synchronization

/// A storage whose writes wait, while it is held, until they are let go: a stuck disk.
final class HeldStorage: Storage {
  private let base: any Storage
  private let isHeld = Atomic<Bool>(false)
  private let waiting = Atomic<Int>(0)
  private let released = DispatchSemaphore(value: 0)

  init(_ base: any Storage) { self.base = base }

  /// How many writes wait.
  var waitingWrites: Int { waiting.load(ordering: .acquiring) }

  func hold() { isHeld.store(true, ordering: .releasing) }

  /// Lets every write go.
  func release() {
    isHeld.store(false, ordering: .releasing)
    for _ in 0..<waitingWrites { released.signal() }
  }

  var name: String { base.name }
  var traits: StorageTraits { base.traits }
  func size() throws(BlockError) -> Int { try base.size() }
  func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) -> Int {
    try base.read(into: &bytes, at: offset)
  }
  func write(_ bytes: RawSpan, at offset: Int) throws(BlockError) {
    if isHeld.load(ordering: .acquiring) {
      waiting.add(1, ordering: .acquiringAndReleasing)
      released.wait()
    }
    try base.write(bytes, at: offset)
  }
  func writeZeroes(_ range: ByteRange, deallocate: Bool) throws(BlockError) {
    try base.writeZeroes(range, deallocate: deallocate)
  }
  func discard(_ range: ByteRange) throws(BlockError) { try base.discard(range) }
  func flush() throws(BlockError) { try base.flush() }
  func truncate(to size: Int) throws(BlockError) { try base.truncate(to: size) }
  func extent(in range: ByteRange) throws(BlockError) -> StorageExtent {
    try base.extent(in: range)
  }
  func reopen(readOnly: Bool) throws(BlockError) { try base.reopen(readOnly: readOnly) }
  func close() throws(BlockError) { try base.close() }
}
