import BlockCore

/// An L1 table or a refcount table, of which only the pages in use are in memory.
///
/// Entries that differ from what is on disk wait in `pending`, so its pages are always clean: they
/// can go at any time.
///
/// Isolation: part of `Qcow2State`.
struct PagedTable {
  let what: MetadataRegion
  /// Where it begins in the file.
  let offset: Int
  /// Its entries.
  let count: Int
  private let pages: PageStore
  /// Entries that are still to be written, by index.
  private var pending: [Int: UInt64] = [:]
  /// The first entry of the page whose room was taken last.
  private var reservedFirst: Int?

  /// A table of `count` entries at `offset`; nothing of it is held yet.
  init(_ what: MetadataRegion, at offset: Int, count: Int, in pages: PageStore) {
    self.what = what
    self.offset = offset
    self.count = count
    self.pages = pages
    pages.removeAll(of: what)
  }

  /// The L1 table that `header` names.
  init(l1 header: Qcow2Header, in pages: PageStore) {
    self.init(.l1Table, at: header.l1Offset, count: header.l1Entries, in: pages)
  }

  /// The refcount table that `header` names.
  init(refcountTable header: Qcow2Header, in pages: PageStore) {
    self.init(
      .refcountTable, at: header.refcountTableOffset, count: header.refcountTableBytes / 8,
      in: pages)
  }

  /// Entries of one page.
  private static let pageEntries = Limits.tableSliceBytes / 8
  /// What one read takes where the whole table is looked through.
  private static let windowEntries = 8192

  /// The refcount table's last cluster may be cut off by the end of the file.
  private var mayEndEarly: Bool { what == .refcountTable }

  /// How many entries are still to be written.
  var pendingCount: Int { pending.count }

  /// Entry `index`.
  func word(_ index: Int, _ io: MetadataIO) throws(BlockError) -> UInt64 {
    precondition(index >= 0 && index < count)
    if !pending.isEmpty, let word = pending[index] { return word }
    return try page(of: index, io).words[index % PagedTable.pageEntries]
  }

  /// How many entries from `index` on, as far as one page tells, are zero.
  func zeros(from index: Int, _ io: MetadataIO) throws(BlockError) -> Int {
    let words = try page(of: index, io).words
    let start = index % PagedTable.pageEntries
    let isZero: (Int) -> Bool =
      pending.isEmpty
      ? { words[$0] == 0 } : { (pending[index + $0 - start] ?? words[$0]) == 0 }
    return (start..<words.count).prefix(while: isZero).count
  }

  /// Makes sure that entry `index` can be written later, also when the disk is full by then: takes
  /// the room of all its page, which may be a hole.
  mutating func reserve(_ index: Int, _ io: MetadataIO) throws(BlockError) {
    let first = index.roundedDown(to: PagedTable.pageEntries)
    if reservedFirst == first { return }
    let entries = min(PagedTable.pageEntries, count - first)
    try io.reserve(ByteRange(at: offset + first * 8, length: entries * 8))
    reservedFirst = first
  }

  /// Changes entry `index`; `writePending` brings it to the disk.
  mutating func set(_ index: Int, to word: UInt64) {
    precondition(index >= 0 && index < count)
    pending[index] = word
  }

  /// Takes back a change of entry `index` that was not pending before.
  mutating func revert(_ index: Int) { pending[index] = nil }

  /// Writes the entries that differ from what is on disk, neighbours together. After a failure all
  /// are still pending.
  mutating func writePending(_ io: MetadataIO) throws(BlockError) {
    let sorted = pending.sorted { $0.key < $1.key }
    var start = 0
    while start < sorted.count {
      var end = start + 1
      while end < sorted.count, sorted[end].key == sorted[end - 1].key + 1 { end += 1 }
      try io.writeWords(
        sorted[start..<end].map(\.value), what, at: offset + sorted[start].key * 8)
      start = end
    }
    for (index, word) in pending {
      let first = index.roundedDown(to: PagedTable.pageEntries)
      pages.page(what, at: offset + first * 8)?.words[index - first] = word
    }
    pending.removeAll()
  }

  /// Calls `body` with each entry that is not zero, pending ones last, until it returns false.
  /// Reads past the pages, so that none goes for it.
  func forEachEntry(
    _ io: MetadataIO, _ body: (_ index: Int, _ word: UInt64) throws(BlockError) -> Bool
  ) throws(BlockError) {
    for first in stride(from: 0, to: count, by: PagedTable.windowEntries) {
      for (place, word) in try window(first, io).enumerated() where word != 0 {
        if !pending.isEmpty, pending[first + place] != nil { continue }
        guard try body(first + place, word) else { return }
      }
    }
    for (index, word) in pending where word != 0 {
      guard try body(index, word) else { return }
    }
  }

  /// Writes all entries as they are to be to another place, where zeros lie.
  func copy(to target: Int, _ io: MetadataIO) throws(BlockError) {
    for first in stride(from: 0, to: count, by: PagedTable.windowEntries) {
      let words = try window(first, io)
      if words.contains(where: { $0 != 0 }) {
        try io.writeWords(words, what, at: target + first * 8)
      }
    }
    for (index, word) in pending { try io.writeWords([word], what, at: target + index * 8) }
  }

  /// Entries as they are on disk.
  private func window(_ first: Int, _ io: MetadataIO) throws(BlockError) -> [UInt64] {
    try io.readWords(
      what, at: offset + first * 8, count: min(PagedTable.windowEntries, count - first),
      zeroPastEnd: mayEndEarly)
  }

  private func page(of index: Int, _ io: MetadataIO) throws(BlockError) -> TableSlice {
    let first = index.roundedDown(to: PagedTable.pageEntries)
    if let page = pages.page(what, at: offset + first * 8) { return page }
    let words = try io.readWords(
      what, at: offset + first * 8, count: min(PagedTable.pageEntries, count - first),
      zeroPastEnd: mayEndEarly)
    let page = TableSlice(what, offset: offset + first * 8, words: words)
    pages.insert(page)
    return page
  }
}
