package import BlockCore

/// What a guest may find on a disk after a power loss: in each sector its last flushed value or one
/// that was written later.
///
/// Isolation: value.
package struct CrashView: Sendable {
  /// The newest value of every byte.
  package private(set) var newest: CrashImage
  /// Older values that a sector may still have.
  private var earlier: [Int: [[UInt8]]] = [:]

  private static let sectorSize = 512

  /// A disk that holds this, all of it durable.
  package init(_ disk: CrashImage) { newest = disk }

  /// The disk's length, a multiple of a sector.
  package var size: Int { newest.size }

  /// Notes a write inside the disk that begins: from now on `data` may be there.
  package mutating func write(_ data: [UInt8], at offset: Int) {
    let range = ByteRange(at: offset, length: data.count)
    keep(range)
    newest.write(data[...], at: offset)
  }

  /// Notes zeros that begin to be written inside the disk.
  package mutating func writeZeroes(_ range: ByteRange) {
    keep(range)
    newest.zero(range)
  }

  /// Notes that each sector may take the value that it has in `other`, a disk of the same length,
  /// and keeps it.
  package mutating func mayBecome(_ other: CrashView) {
    var changed: Set<Int> = []
    let all = ByteRange(at: 0, length: size)
    for disk in [newest, other.newest] {
      disk.forEachPage(in: all) { (offset, _) in
        if newest.pageHash(at: offset) != other.newest.pageHash(at: offset) {
          changed.insert(offset)
        }
      }
    }
    for offset in changed {
      keep(ByteRange(at: offset, length: CrashImage.pageSize).intersection(all))
    }
    newest = other.newest
  }

  /// Notes a flush that has returned: nothing older than the newest is allowed any more.
  package mutating func settle() { earlier.removeAll() }

  /// The disk with this length, the new part zeros.
  package func resized(to size: Int) -> CrashView {
    var view = self
    view.newest.truncate(to: size)
    return view
  }

  /// The disk `base` with this one written over it.
  package func over(_ base: CrashView) -> CrashView {
    var disk = newest
    let tail = ByteRange(from: size, to: max(size, base.size))
    base.newest.forEachPage(in: tail) { (offset, bytes) in
      let start = max(offset, tail.lower)
      disk.write(bytes[(start - offset)...].prefix(tail.upper - start), at: start)
    }
    disk.truncate(to: tail.upper)
    return CrashView(disk)
  }

  /// The first sector of `range`, whole sectors, that must not hold what `seen` has for it.
  package func firstDifference(in range: ByteRange, _ seen: RawSpan) -> Int? {
    var newest = [UInt8](repeating: 0, count: range.length)
    newest.withMutableBytes { _ = self.newest.read(into: &$0, at: range.lower) }
    return newest.withBytes { newest in
      if seen.isEqual(to: newest) { return nil }
      for start in stride(from: 0, to: range.length, by: CrashView.sectorSize) {
        let part = start..<start + CrashView.sectorSize
        let found = seen.extracting(part)
        if found.isEqual(to: newest.extracting(part)) { continue }
        let sector = (range.lower + start) / CrashView.sectorSize
        let values = earlier[sector] ?? []
        if !values.contains(where: { $0.withBytes { $0.isEqual(to: found) } }) { return sector }
      }
      return nil
    }
  }

  /// The first sector of `range`, whole sectors, that must not read zero.
  package func firstNonZero(in range: ByteRange) -> Int? {
    var first: Int?
    newest.forEachPage(in: range) { (offset, bytes) in
      if first != nil { return }
      let part = ByteRange(at: offset, length: bytes.count).intersection(range)
      let zeros = [UInt8](repeating: 0, count: part.length)
      first = zeros.withBytes { firstDifference(in: part, $0) }
    }
    return first
  }

  private mutating func keep(_ range: ByteRange) {
    precondition(range.upper <= size)
    if range.isEmpty { return }
    let sectors = range.widened(to: CrashView.sectorSize)
    for offset in stride(from: sectors.lower, to: sectors.upper, by: CrashView.sectorSize) {
      var value = [UInt8](repeating: 0, count: CrashView.sectorSize)
      value.withMutableBytes { _ = newest.read(into: &$0, at: offset) }
      earlier[offset / CrashView.sectorSize, default: []].append(value)
    }
  }
}
