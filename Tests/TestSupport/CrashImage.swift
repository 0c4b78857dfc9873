package import BlockCore

/// The bytes of a file as a power loss may leave them: pages that are shared between states, and a
/// hash that is kept up with every change.
///
/// Isolation: value.
package struct CrashImage: Sendable {
  /// The unit in which bytes are shared and hashed.
  package static let pageSize = 4096

  fileprivate final class Page: Sendable {
    let bytes: [UInt8]
    let hash: UInt64

    /// nil for zeros, so that a page that was zeroed and one that never was are the same.
    init?(_ bytes: [UInt8]) {
      guard !bytes.withBytes({ $0.isAllZero }) else { return nil }
      self.bytes = bytes
      hash = bytes.withBytes { span in
        var hash: UInt64 = 0x9e37_79b9_7f4a_7c15
        for offset in stride(from: 0, to: span.byteCount, by: 8) {
          hash = (hash ^ span.bigEndian(at: offset)) &* 0xff51_afd7_ed55_8ccd
          hash ^= hash >> 29
        }
        return hash
      }
    }
  }

  private var pages: [Page?] = []
  private var sum: UInt64 = 0
  /// Its length in bytes.
  package private(set) var size = 0
  /// Whether it is a block device: its length stays.
  package private(set) var isDevice = false

  /// An empty file.
  package init() {}

  /// A file of these bytes.
  package init(_ bytes: [UInt8]) { write(bytes[...], at: 0) }

  /// The same bytes at the beginning of a device that is `more` bytes longer, in which lies what
  /// somebody else has left there.
  package func asDevice(longerBy more: Int) -> CrashImage {
    var device = self
    device.isDevice = true
    device.write([UInt8](repeating: CrashImage.leftOver, count: more)[...], at: size)
    return device
  }

  /// What is read of a device where nobody has written.
  private static let leftOver: UInt8 = 0xd5

  /// Equal for equal files.
  package var hash: UInt64 { sum ^ CrashImage.mix(UInt64(size) ^ 0x5151_5151) }

  /// All its bytes.
  package var bytes: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: size)
    bytes.withMutableBytes { _ = read(into: &$0, at: 0) }
    return bytes
  }

  /// Fills `target`, zeros past the end. Returns how many bytes lie before the end.
  package func read(into target: inout MutableRawSpan, at offset: Int) -> Int {
    target.zero()
    let count = max(0, min(target.byteCount, size - offset))
    for (index, part, start) in CrashImage.pieces(at: offset, count: count) {
      guard index < pages.count, let page = pages[index] else { continue }
      page.bytes.withBytes { target.copy($0.extracting(part), at: start) }
    }
    return count
  }

  /// The byte at `offset`; zero past the end.
  package subscript(offset: Int) -> UInt8 { UInt8(number(at: offset, width: 1)) }

  /// The big-endian number of `width` bytes, a power of two, at `offset`, a multiple of it; zero
  /// past the end.
  package func number(at offset: Int, width: Int) -> UInt64 {
    let index = offset / CrashImage.pageSize
    guard index < pages.count, let page = pages[index] else { return 0 }
    return page.bytes.withBytes { bytes in
      let start = offset % CrashImage.pageSize
      return switch width {
      case 8: bytes.bigEndian(at: start)
      case 4: UInt64(bytes.bigEndian(UInt32.self, at: start))
      case 2: UInt64(bytes.bigEndian(UInt16.self, at: start))
      default: UInt64(bytes.byte(at: start))
      }
    }
  }

  /// Whether it begins as a qcow2 image does; every other file is a raw image.
  package var isQcow2: Bool { number(at: 0, width: 4) == 0x5146_49fb }

  /// Whether it has feature bits that go when somebody changes it who does not know them.
  package var hasAutoclearBits: Bool {
    isQcow2 && number(at: 4, width: 4) >= 3 && number(at: 88, width: 8) != 0
  }

  /// Whether the page in which `offset` lies is all zeros, or past the end.
  func isHole(at offset: Int) -> Bool { pageHash(at: offset) == 0 }

  /// The hash of the page in which `offset` lies: equal for equal bytes, 0 for zeros.
  package func pageHash(at offset: Int) -> UInt64 {
    let index = offset / CrashImage.pageSize
    return index < pages.count ? pages[index]?.hash ?? 0 : 0
  }

  /// Calls `body` for each page that overlaps `range` and is not all zeros, in order.
  package func forEachPage<E: Error>(
    in range: ByteRange, _ body: (_ offset: Int, _ bytes: [UInt8]) throws(E) -> Void
  ) throws(E) {
    let last = min(pages.count, range.upper.dividedRoundingUp(by: CrashImage.pageSize))
    var index = range.lower / CrashImage.pageSize
    while index < last {
      if let page = pages[index] { try body(index * CrashImage.pageSize, page.bytes) }
      index += 1
    }
  }

  /// Writes `bytes`, and grows where needed.
  package mutating func write(_ bytes: ArraySlice<UInt8>, at offset: Int) {
    for (index, part, start) in CrashImage.pieces(at: offset, count: bytes.count) {
      let first = bytes.startIndex + start
      change(index) { $0.replaceSubrange(part, with: bytes[first..<first + part.count]) }
    }
    size = max(size, offset + bytes.count)
  }

  /// Makes `range` read zero; grows up to its end.
  package mutating func zero(_ range: ByteRange) {
    clear(range)
    size = max(size, range.upper)
  }

  /// Gives back what lies inside the file of `range`. It reads zero; of a device nobody knows what
  /// it reads.
  package mutating func punch(_ range: ByteRange) {
    let inside = range.intersection(ByteRange(at: 0, length: size))
    guard isDevice else { return clear(inside) }
    write([UInt8](repeating: CrashImage.leftOver, count: inside.length)[...], at: inside.lower)
  }

  /// Sets the length; what comes in reads zero.
  package mutating func truncate(to newSize: Int) {
    if newSize < size { clear(ByteRange(from: newSize, to: size)) }
    size = newSize
  }

  private mutating func clear(_ whole: ByteRange) {
    let range = whole.intersection(
      ByteRange(at: 0, length: pages.count * CrashImage.pageSize))
    for (index, part, _) in CrashImage.pieces(at: range.lower, count: range.length) {
      if pages[index] == nil { continue }
      if part.count == CrashImage.pageSize {
        set(index, nil)
        continue
      }
      change(index) { $0.replaceSubrange(part, with: repeatElement(0, count: part.count)) }
    }
  }

  /// Bytes for one page, made ready to be written to many images.
  struct Patch: Sendable {
    fileprivate let index: Int
    fileprivate let part: Range<Int>
    fileprivate let bytes: ArraySlice<UInt8>
    /// The page, where it is written as a whole.
    fileprivate let page: Page?

    /// `bytes` at `offset`, all in one page.
    init(_ bytes: ArraySlice<UInt8>, at offset: Int) {
      index = offset / pageSize
      part = offset % pageSize..<offset % pageSize + bytes.count
      precondition(part.upperBound <= pageSize)
      self.bytes = bytes
      page = part.count == pageSize ? Page(Array(bytes)) : nil
    }
  }

  /// Writes a patch, and grows where needed.
  mutating func write(_ patch: Patch) {
    if patch.part.count == CrashImage.pageSize {
      set(patch.index, patch.page)
    } else {
      change(patch.index) { $0.replaceSubrange(patch.part, with: patch.bytes) }
    }
    size = max(size, patch.index * CrashImage.pageSize + patch.part.upperBound)
  }

  private mutating func change(_ index: Int, _ body: (inout [UInt8]) -> Void) {
    var bytes = (index < pages.count ? pages[index]?.bytes : nil) ?? CrashImage.zeroPage
    body(&bytes)
    set(index, Page(bytes))
  }

  private mutating func set(_ index: Int, _ page: Page?) {
    if index >= pages.count {
      pages.append(contentsOf: repeatElement(nil, count: index + 1 - pages.count))
    }
    sum ^= CrashImage.place(pages[index], index)
    pages[index] = page
    sum ^= CrashImage.place(pages[index], index)
  }

  private static let zeroPage = [UInt8](repeating: 0, count: pageSize)

  private static func place(_ page: Page?, _ index: Int) -> UInt64 {
    guard let page else { return 0 }
    return mix(page.hash &+ UInt64(index) &* 0x9e37_79b9_7f4a_7c15)
  }

  /// Spreads a word's bits over all of it.
  package static func mix(_ word: UInt64) -> UInt64 {
    var word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word >> 31)
  }

  /// The pages of a range: which, the bytes inside it, and where they begin in the range.
  private static func pieces(
    at offset: Int, count: Int
  ) -> some Sequence<(index: Int, part: Range<Int>, start: Int)> {
    sequence(state: 0) { done in
      guard done < count else { return nil }
      let position = offset + done
      let first = position % pageSize
      let length = min(pageSize - first, count - done)
      defer { done += length }
      return (position / pageSize, first..<first + length, done)
    }
  }
}
