import BlockCore

/// One slice of a table in memory: 64-bit words in native byte order.
///
/// Isolation: belongs to the `Qcow2State` whose pages hold it.
final class TableSlice {
  let region: MetadataRegion
  /// Where it lies in the file; a multiple of 512.
  let offset: Int
  var words: [UInt64]
  /// Whether it differs from what is on disk; changes through `PageStore.mark`.
  var isDirty = false
  /// The budget's time when it was last asked for.
  var lastUse = 0
  /// Whether its entries were found not to contradict each other (`Qcow2State.vet`).
  var isVetted = false
  /// The memory that it takes: its words, and what surrounds them.
  let cost: Int

  init(_ region: MetadataRegion, offset: Int, words: [UInt64]) {
    self.region = region
    self.offset = offset
    self.words = words
    cost = words.count * 8 + TableSlice.overhead
  }

  /// The object, the array's head and the place in the table of pages.
  private static let overhead = 192
  /// What a slice of the largest kind takes.
  static let largestCost = Limits.tableSliceBytes + overhead
}

/// A write-back cache of slices of L2 tables, or of refcount blocks.
///
/// It never writes by itself: what is dirty stays until `Qcow2State.writeOut` has written it in the
/// order that keeps the image whole.
///
/// Isolation: part of `Qcow2State`.
struct TableCache: ~Copyable {
  let what: MetadataRegion
  let sliceBytes: Int
  private let pages: PageStore
  private(set) var dirty: [TableSlice] = []

  init(_ what: MetadataRegion, sliceBytes: Int, in pages: PageStore) {
    self.what = what
    self.sliceBytes = sliceBytes
    self.pages = pages
  }

  /// Words in a slice.
  var sliceWords: Int { sliceBytes / 8 }

  /// The slice at `offset`, read where it is not cached.
  func slice(at offset: Int, _ io: MetadataIO) throws(BlockError) -> TableSlice {
    if let slice = cached(at: offset) { return slice }
    let words = try io.readWords(what, at: offset, count: sliceWords)
    let slice = TableSlice(what, offset: offset, words: words)
    pages.insert(slice)
    return slice
  }

  /// The slice at `offset` where it is cached.
  func cached(at offset: Int) -> TableSlice? { pages.page(what, at: offset) }

  /// A dirty slice for a place that is new.
  mutating func insertNew(
    at offset: Int, words: [UInt64], _ io: MetadataIO
  ) throws(BlockError) {
    try io.reserve(ByteRange(at: offset, length: sliceBytes))
    let slice = TableSlice(what, offset: offset, words: words)
    pages.insert(slice)
    pages.mark(slice, dirty: true)
    dirty.append(slice)
  }

  /// Notes that `slice` is about to differ from what is on disk. One that holds nothing yet may be
  /// a hole there, so its space is taken now: when it is written the disk may be full.
  mutating func markDirty(_ slice: TableSlice, _ io: MetadataIO) throws(BlockError) {
    if slice.isDirty { return }
    if slice.words.allSatisfy({ $0 == 0 }) {
      try io.reserve(ByteRange(at: slice.offset, length: sliceBytes))
    }
    pages.mark(slice, dirty: true)
    dirty.append(slice)
  }

  /// Forgets the slices inside `range`, changed or not: their clusters are no table any more.
  mutating func drop(_ range: ByteRange) {
    for offset in stride(from: range.lower, to: range.upper, by: sliceBytes) {
      guard let slice = pages.page(what, at: offset) else { continue }
      if slice.isDirty { dirty.removeAll { $0 === slice } }
      pages.remove(what, at: offset)
    }
  }

  /// Forgets everything, changed or not.
  mutating func dropAll() {
    pages.removeAll(of: what)
    dirty.removeAll()
  }

  /// Writes what is dirty, neighbours together, and marks it clean. Slices that could not be
  /// written stay dirty.
  mutating func writeDirty(_ io: MetadataIO) throws(BlockError) {
    if dirty.isEmpty { return }
    dirty.sort { $0.offset < $1.offset }
    var written = 0
    defer { dirty.removeFirst(written) }
    while written < dirty.count {
      var end = written + 1
      while end < dirty.count, dirty[end].offset == dirty[end - 1].offset + sliceBytes,
        (end - written) * sliceBytes < TableCache.largestWrite
      {
        end += 1
      }
      let run = dirty[written..<end]
      try io.writeWords(run.flatMap(\.words), what, at: run[written].offset)
      for slice in run { pages.mark(slice, dirty: false) }
      written = end
    }
  }

  private static var largestWrite: Int { 256 << 10 }
}
