import BlockCore

/// One slice of an L2 table or of a refcount block in memory: 64-bit words in native byte order.
///
/// Isolation: belongs to the `Qcow2State` whose cache holds it.
final class TableSlice {
  /// Where it lies in the file; a multiple of the slice's length.
  let offset: Int
  var words: [UInt64]
  var isDirty = false
  fileprivate var lastUse: UInt64 = 0

  init(offset: Int, words: [UInt64]) {
    self.offset = offset
    self.words = words
  }
}

/// A write-back cache of table slices, bounded in number.
///
/// It never writes by itself: what is dirty stays until `Qcow2State.writeOut` has written it in the
/// order that keeps the image whole. Only clean slices are evicted.
///
/// Isolation: part of `Qcow2State`.
struct TableCache: ~Copyable {
  let what: MetadataRegion
  let sliceBytes: Int
  /// How many slices it holds before it evicts.
  let capacity: Int
  private var slices: [Int: TableSlice] = [:]
  private(set) var dirty: [TableSlice] = []
  private var clock: UInt64 = 0

  init(_ what: MetadataRegion, sliceBytes: Int, bytes: Int) {
    self.what = what
    self.sliceBytes = sliceBytes
    capacity = max(64, bytes / sliceBytes)
  }

  /// Words in a slice.
  var sliceWords: Int { sliceBytes / 8 }
  /// Whether so much is dirty that it should be written out before more is added.
  var needsWriteOut: Bool { dirty.count > capacity / 2 }

  /// The slice at `offset`, read where it is not cached.
  mutating func slice(at offset: Int, _ io: MetadataIO) throws(BlockError) -> TableSlice {
    if let slice = cached(at: offset) { return slice }
    let words = try io.readWords(what, at: offset, count: sliceWords)
    return insert(TableSlice(offset: offset, words: words))
  }

  /// The slice at `offset` where it is cached.
  mutating func cached(at offset: Int) -> TableSlice? {
    guard let slice = slices[offset] else { return nil }
    clock += 1
    slice.lastUse = clock
    return slice
  }

  /// A dirty slice for a place that is new.
  mutating func insertNew(
    at offset: Int, words: [UInt64], _ io: MetadataIO
  ) throws(BlockError) {
    try io.reserve(ByteRange(at: offset, length: sliceBytes))
    let slice = insert(TableSlice(offset: offset, words: words))
    slice.isDirty = true
    dirty.append(slice)
  }

  /// Notes that `slice` is about to differ from what is on disk. One that holds nothing yet may be
  /// a hole there, so its space is taken now: when it is written the disk may be full.
  mutating func markDirty(_ slice: TableSlice, _ io: MetadataIO) throws(BlockError) {
    if slice.isDirty { return }
    if slice.words.allSatisfy({ $0 == 0 }) {
      try io.reserve(ByteRange(at: slice.offset, length: sliceBytes))
    }
    slice.isDirty = true
    dirty.append(slice)
  }

  /// Forgets the slices inside `range`, changed or not: their clusters are no table any more.
  mutating func drop(_ range: ByteRange) {
    for offset in stride(from: range.lower, to: range.upper, by: sliceBytes) {
      guard let slice = slices.removeValue(forKey: offset), slice.isDirty else { continue }
      slice.isDirty = false
      dirty.removeAll { $0 === slice }
    }
  }

  /// Forgets everything, changed or not.
  mutating func dropAll() {
    slices.removeAll()
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
      for slice in run { slice.isDirty = false }
      written = end
    }
  }

  private static var largestWrite: Int { 256 << 10 }

  private mutating func insert(_ slice: TableSlice) -> TableSlice {
    if slices.count >= capacity { evict() }
    clock += 1
    slice.lastUse = clock
    slices[slice.offset] = slice
    return slice
  }

  /// Drops the older half of the clean slices. Halving makes the sort's cost per insertion small.
  private mutating func evict() {
    let clean = slices.values.filter { !$0.isDirty }.sorted { $0.lastUse < $1.lastUse }
    for slice in clean.prefix((clean.count + 1) / 2) { slices[slice.offset] = nil }
  }
}
