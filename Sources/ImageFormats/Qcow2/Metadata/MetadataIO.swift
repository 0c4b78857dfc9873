package import BlockCore
package import BlockIO

/// The one funnel for metadata: every table, refcount and header byte that the driver reads or
/// writes passes here, and every flush has its name here.
///
/// Isolation: value; its calls block.
package struct MetadataIO: Sendable {
  /// Where the metadata lie.
  package let storage: any Storage
  /// Where guest data lie: the same storage, or one of their own. A flush covers both, because
  /// metadata must not be durable before the data that they show.
  package let data: any Storage
  /// A flush that a crash simulation leaves out, to see that it would be missed.
  package var elided: FlushPlace?

  /// `data` is nil where guest data lie in `storage` too.
  package init(storage: any Storage, data: (any Storage)? = nil, elided: FlushPlace? = nil) {
    self.storage = storage
    self.data = data ?? storage
    self.elided = elided
  }

  /// Fills the first `count` bytes of `buffer`; metadata past the end of the file are damage, not
  /// zeros.
  package func read(
    _ what: MetadataRegion, at offset: Int, into buffer: IOBuffer, count: Int
  ) throws(BlockError) {
    let got = try buffer.withMutableBytes(0..<count) { (target) throws(BlockError) in
      try storage.read(into: &target, at: offset)
    }
    try requireWhole(what, at: offset, got, of: count)
  }

  private func requireWhole(
    _ what: MetadataRegion, at offset: Int, _ got: Int, of count: Int
  ) throws(BlockError) {
    guard got == count else {
      throw BlockError(
        .corrupt, "The \(what.rawValue) at byte \(offset) lies past the end of the file",
        file: storage.name, offset: offset)
    }
  }

  /// Reads `count` big-endian words, under the same condition; with `zeroPastEnd`, what lies past
  /// the end of the file is zeros.
  package func readWords(
    _ what: MetadataRegion, at offset: Int, count: Int, zeroPastEnd: Bool = false
  ) throws(BlockError) -> [UInt64] {
    var words = [UInt64](repeating: 0, count: count)
    let got = try words.withMutableBytes { (target) throws(BlockError) in
      try storage.read(into: &target, at: offset)
    }
    if !zeroPastEnd { try requireWhole(what, at: offset, got, of: count * 8) }
    for index in words.indices { words[index] = UInt64(bigEndian: words[index]) }
    return words
  }

  /// Writes words big-endian.
  package func writeWords(
    _ words: some Collection<UInt64>, _ what: MetadataRegion, at offset: Int
  ) throws(BlockError) {
    var bytes = [UInt8](repeating: 0, count: words.count * 8)
    bytes.withMutableBytes { target in
      var position = 0
      for word in words {
        target.setBigEndian(word, at: position)
        position += 8
      }
    }
    try write(bytes, what, at: offset)
  }

  /// Writes bytes of metadata.
  package func write(
    _ bytes: [UInt8], _ what: MetadataRegion, at offset: Int
  ) throws(BlockError) {
    try bytes.withBytes { (source) throws(BlockError) in
      try storage.write(source, at: offset)
    }
  }

  /// Makes `range` read zero; the space stays reserved.
  package func zero(_ range: ByteRange, _ what: MetadataRegion) throws(BlockError) {
    try storage.writeZeroes(range, deallocate: false)
  }

  /// Makes sure that `range` can be written later, also when the disk is full by then: what has
  /// been copied must not be lost because there is no room to say where it is.
  package func reserve(_ range: ByteRange) throws(BlockError) { try storage.reserve(range) }

  /// The flush `point`, asked for by `function`.
  package func flush(_ point: FlushPoint, in function: String = #function) throws(BlockError) {
    if let elided, elided == FlushPlace(point, in: function) { return }
    if data !== storage { try data.flush() }
    try storage.flush()
  }
}

/// What a piece of metadata is; stands in errors.
///
/// Isolation: value.
package enum MetadataRegion: String, Sendable {
  case header
  case l1Table = "L1 table"
  case l2Table = "L2 table"
  case refcountTable = "refcount table"
  case refcountBlock = "refcount block"
  case snapshotTable = "snapshot table"
  /// Of a snapshot, as QEMU has it.
  case inactiveL1Table = "inactive L1 table"
  case inactiveL2Table = "inactive L2 table"

  /// One such piece, at the beginning of a sentence.
  var withArticle: String {
    switch self {
    case .l1Table, .l2Table, .inactiveL1Table, .inactiveL2Table: "An \(rawValue)"
    case .header, .refcountTable, .refcountBlock, .snapshotTable: "A \(rawValue)"
    }
  }
}
