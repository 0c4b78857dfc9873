import BlockCore
import BlockIO
import Synchronization

/// Bytes in memory that know, for each unit of 512, whether they were ever written.
///
/// Isolation: any thread; state behind `state`.
final class PlainMemory: Storage {
  let name = "memory"
  let traits = StorageTraits()
  private let state: Mutex<State>

  private struct State {
    var bytes: [UInt8]
    var isData: [Bool]

    mutating func grow(to size: Int) {
      guard size > bytes.count else { return }
      bytes += Array(repeating: 0, count: size - bytes.count)
      isData += Array(repeating: false, count: size.dividedRoundingUp(by: 512) - isData.count)
    }
    mutating func mark(_ range: ByteRange, _ data: Bool) {
      let units = data ? range.widened(to: 512) : range.narrowed(to: 512)
      for unit in units.lower / 512..<units.upper / 512 { isData[unit] = data }
    }
  }

  init(size: Int = 0) {
    var state = State(bytes: [], isData: [])
    state.grow(to: size)
    self.state = Mutex(state)
  }

  func size() throws(BlockError) -> Int { state.withLock { $0.bytes.count } }

  func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) -> Int {
    let all = state.withLock { $0.bytes }
    bytes.zero()
    let part = Array(all.dropFirst(offset).prefix(bytes.byteCount))
    part.withBytes { bytes.copy($0) }
    return part.count
  }

  func write(_ bytes: RawSpan, at offset: Int) throws(BlockError) {
    let new = bytes.copied()
    state.withLock { state in
      state.grow(to: offset + new.count)
      state.bytes.replaceSubrange(offset..<offset + new.count, with: new)
      state.mark(ByteRange(at: offset, length: new.count), true)
    }
  }

  func writeZeroes(_ range: ByteRange, deallocate: Bool) throws(BlockError) {
    state.withLock { state in
      state.grow(to: range.upper)
      for at in range.lower..<range.upper { state.bytes[at] = 0 }
      state.mark(range, !deallocate)
    }
  }

  func discard(_ range: ByteRange) throws(BlockError) {}
  func flush() throws(BlockError) {}
  func truncate(to size: Int) throws(BlockError) { state.withLock { $0.grow(to: size) } }

  func extent(in range: ByteRange) throws(BlockError) -> StorageExtent {
    state.withLock { state in
      func isData(_ at: Int) -> Bool { at < state.bytes.count && state.isData[at / 512] }
      var end = range.lower
      while end < range.upper, isData(end) == isData(range.lower) {
        end = min((end / 512 + 1) * 512, range.upper)
      }
      return StorageExtent(
        range: ByteRange(from: range.lower, to: end), isData: isData(range.lower))
    }
  }

  func reopen(readOnly: Bool) throws(BlockError) {}
  func close() throws(BlockError) {}
}
