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

/// A storage that logs each change when it has been made, and passes everything on.
///
/// Isolation: any thread.
package final class RecordingStorage: WrappingStorage {
  package let base: any Storage
  private let log: StorageLog

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
}
