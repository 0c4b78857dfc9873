package import BlockCore
package import BlockIO
import Synchronization

/// Which part of a storage a raw image is.
///
/// Isolation: value.
package struct RawWindow: Hashable, Sendable {
  /// The disk's first byte.
  package var offset: Int
  /// The disk's length; nil for all up to the end.
  package var size: Int?

  package init(offset: Int = 0, size: Int? = nil) {
    self.offset = offset
    self.size = size
  }

  /// Whether it is all of the storage, whatever becomes of its length.
  package var isWhole: Bool { offset == 0 && size == nil }
}

/// A raw image: the guest's bytes are the storage's bytes, at the same offsets, or at the same
/// distance from each other where the image is a window on a part of it.
///
/// It has no header, no unit of allocation and nothing underneath: every byte is its own. Holes of
/// the storage are told as zeros, and zeros that are written become holes where that is asked for.
///
/// The disk is as long as the storage, rounded up to whole sectors as QEMU does; what lies between
/// the storage's end and the disk's reads zero, and a write there makes the storage longer.
///
/// Crash: there are no metadata, so each sector written, zeroed or discarded since the last flush
/// has its old value or a later one, and a resize has happened or not: what comes in reads zero.
/// After a flush all of it is there. Tests: `CrashSmokeTests` (commit into a raw base),
/// `PoisonedImageTests`.
///
/// Isolation: any thread; state behind `state`.
package final class RawImage: ImageDriver {
  /// The unit of a disk's length.
  package static let sectorSize = 512

  package let format = "raw"
  package let clusterSize = 1
  package let hasZeroFlag = true
  package let dataStorage: any Storage
  /// The part of the storage that is the disk.
  package let window: RawWindow
  private let state: Mutex<State>

  private struct State {
    var virtualSize: Int
    var isReadOnly: Bool
  }

  /// Opens `storage`, or what `window` shows of it, as it is: any bytes are a raw image. Throws
  /// `readOnly` where writing is asked for and the storage refuses it, `invalidArgument` for a
  /// window that is not in the storage, `invalidImage` where it is longer than a disk may be.
  package static func open(
    on storage: any Storage, window: RawWindow = RawWindow(), readOnly: Bool
  ) throws(BlockError) -> RawImage {
    if !readOnly { try checkWritable(storage) }
    return RawImage(
      storage, window, virtualSize: try diskSize(of: storage, window), readOnly: readOnly)
  }

  private init(
    _ storage: any Storage, _ window: RawWindow, virtualSize: Int, readOnly: Bool
  ) {
    dataStorage = storage
    self.window = window
    state = Mutex(State(virtualSize: virtualSize, isReadOnly: readOnly))
  }

  package var virtualSize: Int { state.withLock { $0.virtualSize } }
  package var isReadOnly: Bool { state.withLock { $0.isReadOnly } }
  /// There is nothing in it that could contradict itself.
  package var isDamaged: Bool { false }
  package var backingLink: BackingLink? { nil }

  package func mappings(
    in range: ByteRange, limit: Int
  ) throws(BlockError) -> [ImageMapping] {
    var found: [ImageMapping] = []
    var rest = range
    for _ in 0..<max(limit, 1) where !rest.isEmpty {
      let extent = try dataStorage.extent(in: place(of: rest))
      let run = ByteRange(at: rest.lower, length: extent.range.length)
      let host = extent.range.lower
      // A hole keeps its place in the file, so it is told with its offset, as QEMU does.
      ImageMapping.append(
        ImageMapping(
          range: run, content: extent.isData ? .data(at: host) : .zero(reservedAt: host)),
        to: &found)
      rest = rest.dropping(run.length)
    }
    return found
  }

  package func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) {
    try dataStorage.read(into: &bytes, at: window.offset + offset)
  }

  /// Where in the storage the bytes of `range` lie.
  private func place(of range: ByteRange) -> ByteRange {
    ByteRange(at: window.offset + range.lower, length: range.length)
  }

  package func write(
    _ range: ByteRange, over backing: (any BackingView)?, filling fill: WriteFiller
  ) throws(BlockError) {
    try fill(range, dataStorage, window.offset + range.lower)
  }

  package func writeZeroes(
    _ range: ByteRange, deallocate: Bool, over backing: (any BackingView)?
  ) throws(BlockError) {
    try dataStorage.writeZeroes(place(of: range), deallocate: deallocate)
  }

  /// In both modes the range reads zero afterwards: nothing lies underneath to fall through to.
  package func discard(_ range: ByteRange, _ mode: DiscardMode) throws(BlockError) {
    try dataStorage.writeZeroes(place(of: range), deallocate: true)
  }

  package func flush() throws(BlockError) {
    try dataStorage.flush()
  }

  package func resize(to size: Int, over backing: (any BackingView)?) throws(BlockError) {
    let current = virtualSize
    guard size >= current else {
      throw BlockError(.unsupported, "Shrinking an image is not supported", file: dataStorage.name)
    }
    guard size <= Limits.diskBytes else {
      throw BlockError(
        .invalidArgument, "Image size \(size) is larger than \(Limits.diskBytes)",
        file: dataStorage.name)
    }
    guard size > current else { return }
    guard window.size == nil else {
      throw BlockError(
        .unsupported, "Cannot resize fixed-size raw disks", file: dataStorage.name)
    }
    try dataStorage.truncate(to: window.offset + size)
    state.withLock { $0.virtualSize = size.roundedUp(to: RawImage.sectorSize) }
  }

  package func makeEmpty(_ mode: EmptyMode) throws(BlockError) -> any ImageOperation {
    throw BlockError(
      .unsupported, "A raw image cannot be emptied: nothing lies underneath",
      file: dataStorage.name)
  }

  package func checkBackingLink(_ link: BackingLink?) throws(BlockError) {
    guard link == nil else {
      throw BlockError(
        .unsupported, "A raw image cannot name a backing file", file: dataStorage.name)
    }
  }

  package func setBackingLink(_ link: BackingLink?) throws(BlockError) {
    try checkBackingLink(link)
  }

  package func reopen(readOnly: Bool) throws(BlockError) {
    if readOnly {
      if !isReadOnly { try flush() }
    } else {
      try RawImage.checkWritable(dataStorage)
    }
    state.withLock { $0.isReadOnly = readOnly }
  }

  package func close() throws(BlockError) {
    if !isReadOnly { try flush() }
  }

  package func info() throws(BlockError) -> ImageInfo {
    ImageInfo(format: format, virtualSize: virtualSize, clusterSize: nil, backing: nil)
  }

  /// Takes over the storage's present length: somebody else may have made it longer. Throws
  /// `invalidImage` as `open` does.
  package func readLength() throws(BlockError) {
    let size = try RawImage.diskSize(of: dataStorage, window)
    state.withLock { $0.virtualSize = size }
  }

  private static func diskSize(
    of storage: any Storage, _ window: RawWindow
  ) throws(BlockError) -> Int {
    let length = try storage.size()
    guard length <= Limits.diskBytes else {
      throw BlockError(
        .invalidImage, "Image size \(length) is larger than \(Limits.diskBytes)",
        file: storage.name)
    }
    // QEMU counts the file in sectors, too.
    let whole = length.roundedUp(to: sectorSize)
    func refuse(_ message: String) -> BlockError {
      BlockError(.invalidArgument, message, file: storage.name)
    }
    guard window.offset <= whole else {
      throw refuse(
        "Offset (\(window.offset)) cannot be greater than size of the containing file (\(whole))")
    }
    guard let size = window.size else { return (whole - window.offset).roundedUp(to: sectorSize) }
    guard size <= whole - window.offset else {
      throw refuse(
        "The sum of offset (\(window.offset)) and size (\(size)) has to be smaller or equal to "
          + "the  actual size of the containing file (\(whole))")
    }
    guard size.isMultiple(of: sectorSize) else {
      throw refuse("Specified size is not multiple of \(sectorSize)")
    }
    return size
  }

  private static func checkWritable(_ storage: any Storage) throws(BlockError) {
    guard !storage.traits.isReadOnly else {
      throw BlockError(.readOnly, "The file is open read-only", file: storage.name)
    }
  }
}
