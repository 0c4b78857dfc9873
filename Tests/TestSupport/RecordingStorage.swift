package import BlockCore
package import BlockIO
import Synchronization

/// What happened to one or more storages, in one order: the food of a crash simulator.
///
/// Isolation: any thread; state behind `state`.
package final class StorageLog: Sendable {
  /// One thing that happened.
  package enum Event: Hashable, Sendable {
    case write(offset: Int, bytes: [UInt8])
    case writeZeroes(ByteRange, deallocate: Bool)
    case discard(ByteRange)
    case truncate(Int)
    /// A flush has returned: what was logged for this storage before the matching `flushBegan` is
    /// durable.
    case flushBegan, flushed
    /// Something that the world could see, such as a job's event.
    case note(String)
  }
  /// An event and the storage that it happened to; empty for a note.
  package struct Entry: Hashable, Sendable {
    package var storage: String
    package var event: Event

    package init(_ storage: String, _ event: Event) {
      self.storage = storage
      self.event = event
    }
  }
  private let state = Mutex<[Entry]>([])

  package init() {}

  /// Everything so far; the position is the sequence number.
  package var entries: [Entry] { state.withLock { $0 } }

  /// Adds `event`.
  package func append(_ event: Event, on storage: String = "") {
    state.withLock { $0.append(Entry(storage, event)) }
  }
}

/// A storage that logs each change when it has been made, and passes everything on. A copy is
/// logged as a write of what it brought.
///
/// Isolation: any thread.
package final class RecordingStorage: WrappingStorage {
  package let base: any Storage
  private let log: StorageLog
  private let copied = Atomic<Int>(0)

  /// How many bytes came here by `copy`.
  package var copiedBytes: Int { copied.load(ordering: .acquiring) }

  /// The storages of one log must differ in `name`.
  package init(_ base: any Storage, log: StorageLog) {
    self.base = base
    self.log = log
  }

  package func write(_ bytes: RawSpan, at offset: Int) throws(BlockError) {
    try base.write(bytes, at: offset)
    log.append(.write(offset: offset, bytes: bytes.copied()), on: name)
  }
  package func writeZeroes(_ range: ByteRange, deallocate: Bool) throws(BlockError) {
    try base.writeZeroes(range, deallocate: deallocate)
    log.append(.writeZeroes(range, deallocate: deallocate), on: name)
  }
  package func discard(_ range: ByteRange) throws(BlockError) {
    try base.discard(range)
    log.append(.discard(range), on: name)
  }
  package func flush() throws(BlockError) {
    log.append(.flushBegan, on: name)
    try base.flush()
    log.append(.flushed, on: name)
  }
  package func truncate(to size: Int) throws(BlockError) {
    try base.truncate(to: size)
    log.append(.truncate(size), on: name)
  }
  package func copy(
    from source: any Storage, _ range: ByteRange, to offset: Int
  ) throws(BlockError) -> Int {
    let count = try base.copy(from: source.innermost, range, to: offset)
    if count == 0 { return 0 }
    var bytes = [UInt8](repeating: 0, count: count)
    _ = try bytes.withMutableBytes { (target) throws(BlockError) in
      try base.read(into: &target, at: offset)
    }
    log.append(.write(offset: offset, bytes: bytes), on: name)
    copied.add(count, ordering: .acquiringAndReleasing)
    return count
  }
}
