package import BlockCore
package import BlockIO
package import ImageFormats
import Synchronization

/// A storage over a `CrashImage`: what an engine sees that opens the files after a power loss.
///
/// Isolation: any thread; state behind `state`.
package final class CrashStorage: Storage {
  package let name: String
  package let traits: StorageTraits
  private let state: Mutex<CrashImage>

  /// The file `name` of these bytes.
  package init(_ image: CrashImage = CrashImage(), name: String) {
    self.name = name
    traits = StorageTraits(isDevice: image.isDevice)
    state = Mutex(image)
  }

  /// Its bytes at this moment.
  package var image: CrashImage { state.withLock { $0 } }

  package func size() throws(BlockError) -> Int { state.withLock { $0.size } }
  @discardableResult
  package func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) -> Int {
    state.withLock { $0.read(into: &bytes, at: offset) }
  }
  package func write(_ bytes: RawSpan, at offset: Int) throws(BlockError) {
    let copy = bytes.copied()
    try change(ByteRange(at: offset, length: copy.count)) { $0.write(copy[...], at: offset) }
  }
  package func writeZeroes(_ range: ByteRange, deallocate: Bool) throws(BlockError) {
    try change(range) { $0.zero(range) }
  }
  package func discard(_ range: ByteRange) throws(BlockError) {
    state.withLock { $0.punch(range) }
  }
  package func flush() throws(BlockError) {}
  package func truncate(to size: Int) throws(BlockError) {
    if traits.isDevice {
      throw BlockError(.unsupported, "A block device cannot change its length", file: name)
    }
    state.withLock { $0.truncate(to: size) }
  }
  /// From one to another, as far as what `range` begins with is all data or all hole.
  package func copy(
    from source: any Storage, _ range: ByteRange, to offset: Int
  ) throws(BlockError) -> Int {
    guard let source = source as? CrashStorage, source !== self else { return 0 }
    let inside = range.intersection(ByteRange(at: 0, length: try source.size()))
    if inside.isEmpty { return 0 }
    let front = try source.extent(in: inside).range
    var bytes = [UInt8](repeating: 0, count: front.length)
    _ = try bytes.withMutableBytes { (target) throws(BlockError) in
      try source.read(into: &target, at: front.lower)
    }
    try bytes.withBytes { (bytes) throws(BlockError) in try write(bytes, at: offset) }
    return front.length
  }
  /// Pages of zeros are holes.
  package func extent(in range: ByteRange) throws(BlockError) -> StorageExtent {
    state.withLock { image in
      func isHole(_ offset: Int) -> Bool { offset >= image.size || image.isHole(at: offset) }
      let isData = !isHole(range.lower)
      var end = range.lower
      while end < range.upper, isHole(end) != isData {
        end = (end + 1).roundedUp(to: CrashImage.pageSize)
      }
      let found = ByteRange(from: range.lower, to: min(end, range.upper))
      guard isData else { return StorageExtent(range: found, isData: false) }
      let present = ByteRange(from: found.lower, to: min(found.upper, image.size))
      return StorageExtent(range: present, isData: true)
    }
  }
  package func reopen(readOnly: Bool) throws(BlockError) {}
  package func close() throws(BlockError) {}

  /// Changes what lies up to the end of `range`, which a device must have.
  private func change(
    _ range: ByteRange, _ body: (inout CrashImage) -> Void
  ) throws(BlockError) {
    try state.withLock { (image) throws(BlockError) in
      if traits.isDevice, range.upper > image.size {
        throw BlockError(.noSpace, "No space left on device", file: name)
      }
      body(&image)
    }
  }
}

extension Storage {
  /// The image in these bytes, open for reading only: a qcow2 image where `isQcow2`, a raw one
  /// otherwise.
  package func openToRead(isQcow2: Bool) throws(BlockError) -> any ImageDriver {
    isQcow2
      ? try Qcow2Image.open(on: self, readOnly: true) : try RawImage.open(on: self, readOnly: true)
  }
}
