package import BlockCore
package import BlockIO
import Synchronization

/// A storage that fails when it is told to, and passes everything else on.
///
/// A batch counts as its single requests, a copy as a write. A flush that fails poisons it, as it
/// does a file.
///
/// Isolation: any thread; state behind `state`.
package final class FaultyStorage: WrappingStorage {
  /// What is to fail.
  package struct Fault: Sendable {
    /// The kind of call; any when nil.
    package var operation: StorageOperation?
    /// How many such calls still succeed before the first failure.
    package var after: Int
    /// Whether every later one fails too.
    package var lasts: Bool
    package var error: BlockError

    package init(
      _ operation: StorageOperation? = nil, after: Int = 0, lasts: Bool = false,
      _ error: BlockError = BlockError(.io, "Input/output error", errno: 5)
    ) {
      self.operation = operation
      self.after = after
      self.lasts = lasts
      self.error = error
    }
  }

  private struct State {
    var fault: Fault?
    var counts: [StorageOperation: Int] = [:]
    var hasFailed = false
    var poison: BlockError?
  }
  package let base: any Storage
  private let state = Mutex(State())

  package init(_ base: any Storage, _ fault: Fault? = nil) {
    self.base = base
    set(fault)
  }

  /// What fails from now on; nil for nothing. The calls made so far do not count, and poison is
  /// gone.
  package func set(_ fault: Fault?) { state.withLock { $0 = State(fault: fault) } }

  /// Whether a call has failed because of the present fault: if not, the operation under test has
  /// come through before it.
  package var hasFailed: Bool { state.withLock { $0.hasFailed } }

  /// How many calls of this kind there have been since the fault was set.
  package func count(_ operation: StorageOperation) -> Int {
    state.withLock { $0.counts[operation, default: 0] }
  }

  private func enter(_ operation: StorageOperation) throws(BlockError) {
    try state.withLock { (state) throws(BlockError) in
      state.counts[operation, default: 0] += 1
      let isWrite = [.write, .writeZeroes, .discard, .flush, .truncate].contains(operation)
      if isWrite, let poison = state.poison { throw poison }
      guard var fault = state.fault, fault.operation == nil || fault.operation == operation
      else { return }
      if fault.after > 0 {
        fault.after -= 1
        state.fault = fault
        return
      }
      if !fault.lasts { state.fault = nil }
      state.hasFailed = true
      let error = fault.error.on(file: base.name)
      guard operation == .flush else { throw error }
      state.poison = error.afterFlush
      throw error.ofFlush
    }
  }

  package func size() throws(BlockError) -> Int {
    try enter(.size)
    return try base.size()
  }
  package func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) -> Int {
    try enter(.read)
    return try base.read(into: &bytes, at: offset)
  }
  package func write(_ bytes: RawSpan, at offset: Int) throws(BlockError) {
    try enter(.write)
    try base.write(bytes, at: offset)
  }
  package func copy(
    from source: any Storage, _ range: ByteRange, to offset: Int
  ) throws(BlockError) -> Int {
    try enter(.write)
    return try base.copy(from: source.innermost, range, to: offset)
  }
  package func writeZeroes(_ range: ByteRange, deallocate: Bool) throws(BlockError) {
    try enter(.writeZeroes)
    try base.writeZeroes(range, deallocate: deallocate)
  }
  package func discard(_ range: ByteRange) throws(BlockError) {
    try enter(.discard)
    try base.discard(range)
  }
  package func flush() throws(BlockError) {
    try enter(.flush)
    try base.flush()
  }
  package func truncate(to size: Int) throws(BlockError) {
    try enter(.truncate)
    try base.truncate(to: size)
  }
  package func extent(in range: ByteRange) throws(BlockError) -> StorageExtent {
    try enter(.extent)
    return try base.extent(in: range)
  }
  package func reopen(readOnly: Bool) throws(BlockError) {
    try enter(.reopen)
    try base.reopen(readOnly: readOnly)
  }
  package func close() throws(BlockError) {
    try enter(.close)
    try base.close()
  }
}
