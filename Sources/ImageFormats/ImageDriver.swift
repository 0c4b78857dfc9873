package import BlockCore
package import BlockIO

/// One image of a format, open: what a layer of a chain can do for itself.
///
/// A driver answers for its own layer only. Where it holds nothing it says so; `BackingChain` walks
/// on. Where a write needs the bytes underneath (a partial cluster), the caller lends a
/// `BackingView`.
///
/// Locking contract: the caller (`BlockNode`) holds the guest range, widened to `clusterSize`,
/// exclusively for `write`, `writeZeroes` and `discard`, and shared for `read` and for any use of a
/// host offset that a mapping named. Operations (`resize`, `makeEmpty`, `setBackingLink`, `close`)
/// need the whole disk exclusively.
///
/// Isolation: any thread; all calls block and belong on lanes.
package protocol ImageDriver: AnyObject, Sendable {
  /// The format's name as the protocol spells it: `qcow2`, `raw`.
  var format: String { get }
  /// The guest disk's length in bytes.
  var virtualSize: Int { get }
  /// The unit in which the image allocates, a power of two; 1 where there is none.
  var clusterSize: Int { get }
  /// Where `ImageContent.data` offsets point.
  var dataStorage: any Storage { get }
  /// Whether it was opened for reading only.
  var isReadOnly: Bool { get }
  /// Whether damage was found on the way, so that nothing more is written although it was opened
  /// for writing.
  var isDamaged: Bool { get }
  /// Whether a range without backing can be made to read zero without writing bytes.
  var hasZeroFlag: Bool { get }
  /// What the image names as its backing file, unresolved.
  var backingLink: BackingLink? { get }

  /// What this layer holds from `range.lower` on: at least one run, together at most `range`, in
  /// order and without gaps, neighbours of one kind merged. Looks at no more than `limit` runs'
  /// worth of metadata, so that the time is bounded; the caller asks again from where it ended.
  /// `range` lies inside the virtual disk and is not empty.
  func mappings(in range: ByteRange, limit: Int) throws(BlockError) -> [ImageMapping]

  /// Fills `bytes` with what this layer alone holds; `range` must not touch unallocated parts
  /// (those are the caller's, found by `mappings`).
  func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError)

  /// Fills the places of `pieces` in `bytes`, which `mappings` calls compressed; they come in the
  /// guest's order. Each cluster is decompressed once, however many pieces want a part of it, and
  /// what is read next is on its way meanwhile.
  func readCompressed(
    _ pieces: [GuestPiece], into bytes: inout MutableRawSpan
  ) throws(BlockError)

  /// Writes `range`, whose bytes `fill` brings to where they are to lie, part by part in order;
  /// parts of clusters that the write does not cover are filled from this layer or, where it holds
  /// nothing, from `backing` (nil reads zero).
  func write(
    _ range: ByteRange, over backing: (any BackingView)?, filling fill: WriteFiller
  ) throws(BlockError)

  /// Writes pieces of `bytes`, which do not overlap, to where they belong, in any order.
  func write(
    _ pieces: [GuestPiece], of bytes: RawSpan, over backing: (any BackingView)?
  ) throws(BlockError)

  /// Makes `range` read zero whatever lies underneath, with as few bytes stored as the format
  /// allows; with `deallocate`, clusters that held data are freed.
  func writeZeroes(
    _ range: ByteRange, deallocate: Bool, over backing: (any BackingView)?
  ) throws(BlockError)

  /// Drops what the layer holds of `range`; only whole clusters, the rest is left as it is.
  func discard(_ range: ByteRange, _ mode: DiscardMode) throws(BlockError)

  /// Everything written so far, metadata included, is durable when it returns.
  func flush() throws(BlockError)

  /// Sets the guest disk's length. Bytes that come in read zero, also where `backing` (what lies
  /// under this image) is longer than the old end. Shrinking is refused.
  func resize(to size: Int, over backing: (any BackingView)?) throws(BlockError)

  /// Starts to empty the layer, so that all falls through; refused where that cannot be.
  func makeEmpty(_ mode: EmptyMode) throws(BlockError) -> any ImageOperation

  /// Checks that `link` could be stored, without writing; a name too long is refused here.
  func checkBackingLink(_ link: BackingLink?) throws(BlockError)
  /// Names another backing file (nil: none), durably when it returns. A crash leaves the old name
  /// with the old format or the new name with the new format, nothing between.
  func setBackingLink(_ link: BackingLink?) throws(BlockError)

  /// Opens the image for writing, or for reading only; flushes first where it was writable. A crash
  /// leaves what one leaves of the writes before, and of the repair of an image that was not closed
  /// (`RepairRun`); all of them once this returns. Tests: `CrashSmokeTests` (reopen).
  func reopen(readOnly: Bool) throws(BlockError)
  /// Flushes and lets go. The storage is not closed: it belongs to its own node.
  func close() throws(BlockError)

  /// What people and clients are told about the image.
  func info() throws(BlockError) -> ImageInfo
}

/// Brings the guest's bytes of `part` to `offset` of `storage`: as bytes in memory, or from file to
/// file without seeing them.
package typealias WriteFiller = (
  _ part: ByteRange, _ storage: any Storage, _ offset: Int
) throws(BlockError) -> Void

/// Bytes in memory, and where on the guest's disk they belong or come from.
///
/// Isolation: value.
package struct GuestPiece: Hashable, Sendable {
  /// The guest bytes; not empty.
  package var range: ByteRange
  /// The first one's index in memory.
  package var place: Int

  package init(_ range: ByteRange, at place: Int) {
    self.range = range
    self.place = place
  }

  /// Appends `next` to `list`, as one with the last where it goes on from there, in memory too.
  package static func append(_ next: GuestPiece, to list: inout [GuestPiece]) {
    if let last = list.last, last.range.upper == next.range.lower,
      last.place + last.range.length == next.place
    {
      list[list.count - 1].range.length += next.range.length
    } else {
      list.append(next)
    }
  }
}

extension ImageDriver {
  /// For formats without compression, whose mappings never say so.
  package func readCompressed(
    _ pieces: [GuestPiece], into bytes: inout MutableRawSpan
  ) throws(BlockError) {
    precondition(pieces.isEmpty, "only a format that compresses is asked for it")
  }

  /// One piece after the other; formats that can do better say so.
  package func write(
    _ pieces: [GuestPiece], of bytes: RawSpan, over backing: (any BackingView)?
  ) throws(BlockError) {
    for piece in pieces {
      let part = bytes.extracting(piece.place..<piece.place + piece.range.length)
      try write(part, at: piece.range.lower, over: backing)
    }
  }

  /// Writes `bytes`, as `write(_:over:filling:)`.
  package func write(
    _ bytes: RawSpan, at offset: Int, over backing: (any BackingView)?
  ) throws(BlockError) {
    let range = ByteRange(at: offset, length: bytes.byteCount)
    try write(range, over: backing) { (part, storage, place) throws(BlockError) in
      try storage.write(bytes.extracting(part.lower - offset..<part.upper - offset), at: place)
    }
  }
}

/// A backing file as an image names it.
///
/// Isolation: value.
package struct BackingLink: Hashable, Sendable {
  /// The name as it stands in the header: relative to the overlay's directory or absolute, and not
  /// always text.
  package var bytes: [UInt8]
  /// The declared format. Without one the chain is refused: nothing is probed.
  package var format: String?

  package init(bytes: [UInt8], format: String?) {
    self.bytes = bytes
    self.format = format
  }

  package init(name: String, format: String?) {
    self.init(bytes: Array(name.utf8), format: format)
  }

  /// The name for programs: as it is where it is UTF-8, else with `\xNN` for what is not.
  package var name: String { PrintableText.forPrograms(bytes) }
}

/// The bytes that show through where a layer holds nothing.
///
/// Isolation: any thread.
package protocol BackingView: Sendable {
  /// Fills `bytes` with what is underneath from `offset` on; zero past its end.
  func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError)
  /// Whether all of `range` is known, from metadata alone, to read zero. `false` means unknown.
  func readsZero(_ range: ByteRange) throws(BlockError) -> Bool
}

/// What becomes of discarded clusters.
package enum DiscardMode: Sendable {
  /// The guest's own discard: the range reads zero afterwards.
  case readsZero
  /// Full discard: the range falls through to the backing file.
  case fallsThrough
}

/// How an image is emptied.
package enum EmptyMode: String, Sendable {
  /// `reset` where the image allows it, else `discard`.
  case auto
  /// New tables are built beside the old and switched to: constant cost.
  case reset
  /// Cluster by cluster: keeps internal snapshots, bitmaps and unknown extensions.
  case discard
}

/// Work on an image that is done in bounded steps, so that it can be cancelled, paused and watched.
///
/// Isolation: one lane at a time.
package protocol ImageOperation: AnyObject, Sendable {
  /// Does one bounded piece of work. Returns whether all is done.
  func step() throws(BlockError) -> Bool
  /// How far it is, in units of its own.
  var progress: (done: Int, total: Int) { get }
  /// Whether stopping now would leave what a caller did not ask for; then it runs to its end.
  var isPastNoReturn: Bool { get }
}
