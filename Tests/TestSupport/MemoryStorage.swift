package import BlockCore
package import BlockIO
import Synchronization

/// A storage in memory that keeps only the pages written, so that a disk of any size costs nothing.
///
/// Isolation: any thread; state behind `state`.
package final class MemoryStorage: Storage {
  package let name: String
  /// The granularity of data and holes.
  package static let pageSize = 4096

  private struct State {
    var pages: [Int: [UInt8]] = [:]
    var size: Int
    var traits: StorageTraits
  }
  private let state: Mutex<State>

  /// `size` bytes, all hole.
  package init(size: Int = 0, name: String = "memory", traits: StorageTraits = StorageTraits()) {
    self.name = name
    state = Mutex(State(size: size, traits: traits))
  }

  /// A file of these bytes.
  package convenience init(_ bytes: [UInt8], name: String = "memory") throws(BlockError) {
    self.init(size: bytes.count, name: name)
    try bytes.withBytes { (span) throws(BlockError) in try write(span, at: 0) }
  }

  /// All its bytes; only for small ones.
  package var contents: [UInt8] {
    state.withLock { state in
      var bytes = [UInt8](repeating: 0, count: state.size)
      for (page, data) in state.pages {
        let start = page * MemoryStorage.pageSize
        for index in 0..<min(data.count, max(0, state.size - start)) {
          bytes[start + index] = data[index]
        }
      }
      return bytes
    }
  }

  /// How many bytes of memory its pages take.
  package var allocated: Int { state.withLock { $0.pages.count } * MemoryStorage.pageSize }

  package var traits: StorageTraits { state.withLock { $0.traits } }

  package func size() throws(BlockError) -> Int { state.withLock { $0.size } }

  @discardableResult
  package func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) -> Int {
    bytes.zero()
    return state.withLock { state in
      let wanted = ByteRange(at: offset, length: bytes.byteCount)
      let present = wanted.intersection(ByteRange(at: 0, length: state.size))
      for piece in MemoryStorage.pieces(of: present) {
        guard let page = state.pages[piece.page] else { continue }
        page.withBytes { data in
          let part = data.extracting(piece.part.lower..<piece.part.upper)
          bytes.copy(part, at: piece.lower - offset)
        }
      }
      return present.length
    }
  }

  package func write(_ bytes: RawSpan, at offset: Int) throws(BlockError) {
    let range = ByteRange(at: offset, length: bytes.byteCount)
    try change(range) { state in
      for piece in MemoryStorage.pieces(of: range) {
        let start = piece.lower - offset
        let source = bytes.extracting(start..<start + piece.part.length)
        state.pages[piece.page, default: MemoryStorage.zeroPage].withMutableBytes {
          (page: inout MutableRawSpan) in page.copy(source, at: piece.part.lower)
        }
      }
    }
  }

  package func writeZeroes(_ range: ByteRange, deallocate: Bool) throws(BlockError) {
    try change(range) { state in
      for piece in MemoryStorage.pieces(of: range) {
        if deallocate && piece.part.length == MemoryStorage.pageSize {
          state.pages[piece.page] = nil
        } else if !deallocate || state.pages[piece.page] != nil {
          state.pages[piece.page, default: MemoryStorage.zeroPage].withMutableBytes {
            (page: inout MutableRawSpan) in
            page.withPart(piece.part.lower..<piece.part.upper) { (part: inout MutableRawSpan) in
              part.zero()
            }
          }
        }
      }
    }
  }

  package func discard(_ range: ByteRange) throws(BlockError) {
    let size = try size()
    try writeZeroes(range.intersection(ByteRange(at: 0, length: size)), deallocate: true)
  }

  package func flush() throws(BlockError) {}

  package func truncate(to size: Int) throws(BlockError) {
    if traits.isDevice {
      throw BlockError(.unsupported, "A block device cannot change its length", file: name)
    }
    let old = try self.size()
    if size < old {
      let whole = size.roundedUp(to: MemoryStorage.pageSize)
      try writeZeroes(ByteRange(from: size, to: min(whole, old)), deallocate: true)
      // Only the pages that there are: a sparse file may be very long.
      try change(ByteRange(at: 0, length: 0)) { state in
        state.pages = state.pages.filter { $0.key < whole / MemoryStorage.pageSize }
      }
    }
    try change(ByteRange(at: 0, length: 0)) { $0.size = size }
  }

  package func extent(in range: ByteRange) throws(BlockError) -> StorageExtent {
    state.withLock { state in
      var found = ByteRange(at: range.lower, length: 0)
      var isData = false
      for piece in MemoryStorage.pieces(of: range) {
        let holds = state.pages[piece.page] != nil && piece.lower < state.size
        if found.isEmpty { isData = holds }
        if holds != isData { break }
        found = ByteRange(from: range.lower, to: piece.lower + piece.part.length)
      }
      if isData { found = ByteRange(from: found.lower, to: min(found.upper, state.size)) }
      return StorageExtent(range: found, isData: isData)
    }
  }

  package func reopen(readOnly: Bool) throws(BlockError) {
    state.withLock { $0.traits.isReadOnly = readOnly }
  }

  package func close() throws(BlockError) {}

  private static let zeroPage = [UInt8](repeating: 0, count: pageSize)

  /// Runs `body` on the state of something that may be written, and lets it reach up to the end of
  /// `range`.
  private func change(
    _ range: ByteRange, _ body: (inout State) -> Void
  ) throws(BlockError) {
    try state.withLock { (state) throws(BlockError) in
      if state.traits.isReadOnly {
        throw BlockError(.readOnly, "'\(name)' is open for reading only", file: name)
      }
      if state.traits.isDevice && range.upper > state.size {
        throw BlockError(.noSpace, "No space left on device", file: name)
      }
      state.size = max(state.size, range.upper)
      body(&state)
    }
  }

  /// The part of a range that lies in one page.
  private struct Piece {
    var page: Int
    /// The bytes inside the page.
    var part: ByteRange
    /// Where they begin in the storage.
    var lower: Int { page * MemoryStorage.pageSize + part.lower }
  }

  /// `range` cut at the pages' borders, one piece at a time.
  private static func pieces(of range: ByteRange) -> some Sequence<Piece> {
    sequence(state: range) { rest -> Piece? in
      guard !rest.isEmpty else { return nil }
      let inside = rest.lower % pageSize
      let length = min(rest.length, pageSize - inside)
      defer { rest = rest.dropping(length) }
      return Piece(page: rest.lower / pageSize, part: ByteRange(at: inside, length: length))
    }
  }
}
