import BlockCore
package import ImageFormats

/// What a guest may find on a disk after a power loss: in each sector its last flushed value or one
/// that was written later.
///
/// Isolation: value.
package struct CrashView: Sendable {
  /// So many bytes of a disk are looked at.
  package static let looksAt = 400 << 10

  /// The disk's length.
  package private(set) var size: Int
  /// The newest value of every byte, of at most `looksAt`.
  package private(set) var bytes: [UInt8]
  /// Older values that a sector may still have.
  private var earlier: [Int: [[UInt8]]] = [:]

  /// A disk of `size` bytes that begins with `bytes`, all of it durable.
  package init(size: Int, _ bytes: [UInt8]) {
    self.size = size
    self.bytes = Array(bytes.prefix(CrashView.looksAt))
  }

  /// Notes a write that begins: from now on `data` may be there.
  package mutating func write(_ data: [UInt8], at offset: Int) {
    let range = ByteRange(at: offset, length: data.count)
      .intersection(ByteRange(at: 0, length: bytes.count))
    guard !range.isEmpty else { return }
    for sector in range.lower / 512...(range.upper - 1) / 512 {
      earlier[sector, default: []].append(value(of: sector))
    }
    bytes.replaceSubrange(range.lower..<range.upper, with: data[..<range.length])
  }

  /// Notes that each sector may take the value that it has in `other`, and keeps it.
  package mutating func mayBecome(_ other: CrashView) {
    write(other.bytes, at: 0)
  }

  /// Notes a flush that has returned: nothing older than the newest is allowed any more.
  package mutating func settle() { earlier.removeAll() }

  /// The disk with this length, the new part zeros.
  package func resized(to newSize: Int) -> CrashView {
    var view = self
    view.size = newSize
    let count = min(newSize, CrashView.looksAt) - bytes.count
    if count > 0 { view.bytes += [UInt8](repeating: 0, count: count) }
    return view
  }

  /// The disk `base` with this one written over it.
  package func over(_ base: CrashView) -> CrashView {
    CrashView(size: max(size, base.size), bytes + base.bytes.dropFirst(bytes.count))
  }

  /// The first sector of a disk of `size` bytes that begins with `seen` which must not be so; nil
  /// where all is well, -1 for a wrong length.
  package func firstDifference(size: Int, _ seen: [UInt8]) -> Int? {
    guard size == self.size, seen.count == bytes.count else { return -1 }
    return seen.withBytes { seen in
      bytes.withBytes { newest in
        if seen.isEqual(to: newest) { return nil }
        for start in stride(from: 0, to: newest.byteCount, by: 512) {
          let part = start..<min(start + 512, newest.byteCount)
          let sector = seen.extracting(part)
          if sector.isEqual(to: newest.extracting(part)) { continue }
          let values = earlier[start / 512] ?? []
          if !values.contains(where: { $0.withBytes { $0.isEqual(to: sector) } }) {
            return start / 512
          }
        }
        return nil
      }
    }
  }

  private func value(of sector: Int) -> [UInt8] {
    Array(bytes[sector * 512..<min(sector * 512 + 512, bytes.count)])
  }
}

/// What must hold after a power loss.
///
/// Isolation: value.
package struct CrashExpectation: Sendable {
  /// For each image that somebody uses as a disk: the disks that it may be, one of them as a whole.
  package var views: [String: [CrashView]]
  /// Images that may be gone: somebody was told that they are not needed any more.
  package var unneeded: Set<String> = []
  /// Images that hold nothing: somebody was told so.
  package var empty: Set<String> = []
  /// What an image may name as its backing file, where it matters.
  package var links: [String: [BackingLink]] = [:]

  /// The most bytes that a file has: somebody was told that the rest is given back.
  package var longest: [String: Int] = [:]
  /// What an image holds as long as a feature bit says that nobody has changed it ("autoclear").
  package var unchanged: [String: CrashView] = [:]

  /// Only these views.
  package init(views: [String: [CrashView]]) { self.views = views }
}
