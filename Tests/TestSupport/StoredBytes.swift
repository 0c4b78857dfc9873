package import BlockCore
import BlockIO
import Foundation

extension MemoryStorage {
  /// All bytes, a page at a time.
  package func bytes() throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: try size())
    _ = try bytes.withMutableBytes { (target) throws(BlockError) in
      try read(into: &target, at: 0)
    }
    return bytes
  }

  /// The first bytes.
  package func start(_ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    _ = try bytes.withMutableBytes { (target) throws(BlockError) in
      try read(into: &target, at: 0)
    }
    return bytes
  }

  /// Changes bytes behind the back of whoever has the image open.
  package func poke(_ bytes: [UInt8], at offset: Int) throws {
    try bytes.withBytes { (source) throws(BlockError) in try write(source, at: offset) }
  }

  /// Writes all bytes to the file `path`; holes stay holes.
  package func save(to path: String) throws {
    let file = try HostFile.create(try FileName(path), .init(locking: .off))
    try file.truncate(to: 0)
    var rest = ByteRange(at: 0, length: try size())
    try file.truncate(to: rest.length)
    while !rest.isEmpty {
      let run = try extent(in: rest)
      if run.isData {
        var bytes = [UInt8](repeating: 0, count: run.range.length)
        _ = try bytes.withMutableBytes { (target) throws(BlockError) in
          try read(into: &target, at: run.range.lower)
        }
        try bytes.withBytes { (source) throws(BlockError) in
          try file.write(source, at: run.range.lower)
        }
      }
      rest = rest.dropping(run.range.length)
    }
    try file.close()
  }
}

extension [UInt8] {
  /// Copies `bytes` to `offset`, as fast in a debug build as in any.
  package mutating func put(_ bytes: [UInt8], at offset: Int) {
    precondition(offset >= 0 && offset + bytes.count <= count)
    if bytes.isEmpty { return }
    withUnsafeMutableBytes { target in
      bytes.withUnsafeBytes {
        UnsafeMutableRawBufferPointer(rebasing: target[offset...]).copyMemory(from: $0)
      }
    }
  }

  /// Sets the bytes of `range` to zero.
  package mutating func zero(_ range: ByteRange) {
    precondition(range.upper <= count)
    if range.isEmpty { return }
    withUnsafeMutableBytes { bytes in
      guard let start = bytes.baseAddress else { return }
      memset(start.advanced(by: range.lower), 0, range.length)
    }
  }

  /// Whether the bytes of `range` are the same in both.
  package func isSame(as other: [UInt8], in range: ByteRange) -> Bool {
    guard range.upper <= count, range.upper <= other.count else { return false }
    if range.isEmpty { return true }
    return withUnsafeBytes { a in
      other.withUnsafeBytes { b in
        guard let a = a.baseAddress, let b = b.baseAddress else { return false }
        return memcmp(
          a.advanced(by: range.lower), b.advanced(by: range.lower), range.length) == 0
      }
    }
  }

  /// Whether all bytes are the same.
  package func isSame(as other: [UInt8]) -> Bool {
    count == other.count && isSame(as: other, in: ByteRange(at: 0, length: count))
  }

  /// A number that tells different bytes apart, within one process.
  package var digest: Int {
    var hasher = Hasher()
    withUnsafeBytes { hasher.combine(bytes: $0) }
    return hasher.finalize()
  }
}
