import BlockCore
import BlockIO
import Dispatch
import Synchronization
import TestSupport

/// A storage whose calls of one kind wait, while it is held, until they are let go: a stuck disk.
final class HeldStorage: WrappingStorage {
  enum Kind: Equatable {
    case writes
    /// Reads of more than so many bytes: of data, but not of tables.
    case reads(longerThan: Int)
    /// Reads of at most so many bytes: of tables, but not of data.
    case shortReads(upTo: Int)
  }

  let base: any Storage
  private let kind: Kind
  private let isHeld = Atomic<Bool>(false)
  private let waiting = Atomic<Int>(0)
  private let released = DispatchSemaphore(value: 0)

  init(_ base: any Storage, _ kind: Kind = .writes) {
    self.base = base
    self.kind = kind
  }

  /// How many calls have come to wait.
  var waitingCalls: Int { waiting.load(ordering: .acquiring) }

  func hold() { isHeld.store(true, ordering: .releasing) }

  /// Lets every call go.
  func release() {
    isHeld.store(false, ordering: .releasing)
    for _ in 0..<waitingCalls { released.signal() }
  }

  private func wait() {
    guard isHeld.load(ordering: .acquiring) else { return }
    waiting.add(1, ordering: .acquiringAndReleasing)
    released.wait()
  }

  func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) -> Int {
    switch kind {
    case .reads(longerThan: let least) where bytes.byteCount > least: wait()
    case .shortReads(upTo: let most) where bytes.byteCount <= most: wait()
    case .reads, .shortReads, .writes: break
    }
    return try base.read(into: &bytes, at: offset)
  }
  func write(_ bytes: RawSpan, at offset: Int) throws(BlockError) {
    if kind == .writes { wait() }
    try base.write(bytes, at: offset)
  }
  func copy(
    from source: any Storage, _ range: ByteRange, to offset: Int
  ) throws(BlockError) -> Int {
    if kind == .writes { wait() }
    return try base.copy(from: source.innermost, range, to: offset)
  }
}
