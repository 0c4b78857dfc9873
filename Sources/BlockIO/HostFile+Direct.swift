import BlockCore
import Glibc
import Synchronization

// With direct I/O the kernel takes whole blocks in aligned memory only. Requests that are something
// else pass through a buffer; a write of part of a block reads the block first.
extension HostFile {
  /// The bytes that pass through the buffer at a time.
  private static let bounceSize = 256 << 10

  /// Whether the kernel takes the request as it is.
  func isAligned(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Bool {
    let address = Int(bitPattern: bytes.baseAddress)
    return (address | offset | bytes.count) & (alignment - 1) == 0
  }

  /// Runs `body`, which changes `range`. With direct I/O it waits for those who write parts of
  /// blocks where they could be in each other's way: in a block of which `range` is a part, and at
  /// the end of the file. See `bouncedWrite`.
  func besidePartialWrites<R: Sendable>(
    _ file: OpenFile, _ range: ByteRange, _ body: () throws(BlockError) -> R
  ) throws(BlockError) -> R {
    if alignment == 1 { return try body() }
    if range.widened(to: alignment) == range {
      if isDevice { return try body() }
      let size = try size(of: file)
      if range.upper < size { return try body() }
    }
    return try partialWrites.withLock { (_) throws(BlockError) in try body() }
  }

  /// Sets the file's length. A write of part of the last block cuts the file back to the length
  /// that it found: it would take away what somebody writes as soon as the file is longer.
  func setLength(_ file: OpenFile, to size: Int) throws(BlockError) {
    func set() throws(BlockError) {
      try SystemCall.run(on: name) { ftruncate(file.descriptor, size) }
    }
    if alignment == 1 { return try set() }
    try partialWrites.withLock { (_) throws(BlockError) in try set() }
  }

  /// Reads until `bytes` is full or the file ends, and returns how many bytes came.
  func bouncedRead(
    _ file: OpenFile, into bytes: UnsafeMutableRawBufferPointer, at offset: Int
  ) throws(BlockError) -> Int {
    let wanted = ByteRange(at: offset, length: bytes.count)
    var rest = wanted.widened(to: alignment)
    let buffer = IOBuffer(count: max(alignment, min(rest.length, HostFile.bounceSize)))
    while !rest.isEmpty {
      let piece = rest.prefix(buffer.count)
      let count = try fill(buffer, piece, from: file)
      let useful = wanted.intersection(ByteRange(at: piece.lower, length: count))
      buffer.withBytes(part(useful, of: piece)) { (span: RawSpan) in
        var target = unsafe MutableRawSpan(_unsafeBytes: bytes)
        target.copy(span, at: useful.lower - offset)
      }
      if count < piece.length { return min(bytes.count, max(0, piece.lower + count - offset)) }
      rest = rest.dropping(piece.length)
    }
    return bytes.count
  }

  /// Writes all of `bytes`.
  ///
  /// Two writers of different parts of one block would undo each other's work, so one runs at a
  /// time. A write of part of the last block grows the file to the block's end and cuts it back;
  /// whoever grows it further meanwhile would lose bytes, and therefore waits too
  /// (`besidePartialWrites`). A crash in between leaves a file that is less than a block too long.
  func bouncedWrite(
    _ file: OpenFile, _ bytes: UnsafeRawBufferPointer, at offset: Int
  ) throws(BlockError) {
    let wanted = ByteRange(at: offset, length: bytes.count)
    let padded = wanted.widened(to: alignment)
    try partialWrites.withLock { (_) throws(BlockError) in
      let size = try size(of: file)
      let buffer = IOBuffer(count: max(alignment, min(padded.length, HostFile.bounceSize)))
      var rest = padded
      while !rest.isEmpty {
        let piece = rest.prefix(buffer.count)
        let useful = wanted.intersection(piece)
        if useful != piece { _ = try fill(buffer, piece, from: file) }
        buffer.withMutableBytes(part(useful, of: piece)) { (target: inout MutableRawSpan) in
          let source = useful.lower - offset..<useful.upper - offset
          target.copy(unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: bytes[source])))
        }
        try buffer.withBytes(0..<piece.length) { (span) throws(BlockError) in
          try unsafe span.withUnsafeBytes { (block) throws(BlockError) in
            try unsafe file.write(block, at: piece.lower)
          }
        }
        rest = rest.dropping(piece.length)
      }
      let end = max(size, wanted.upper)
      if padded.upper > end && !isDevice {
        try SystemCall.run(on: name) { ftruncate(file.descriptor, end) }
      }
    }
  }

  /// Reads `piece` into the beginning of `buffer`, zeros what lies past the end, and returns how
  /// many bytes came.
  private func fill(
    _ buffer: IOBuffer, _ piece: ByteRange, from file: OpenFile
  ) throws(BlockError) -> Int {
    let count = try buffer.withMutableBytes(0..<piece.length) { (span) throws(BlockError) in
      try unsafe span.withUnsafeMutableBytes { (bytes) throws(BlockError) in
        try unsafe file.read(into: bytes, at: piece.lower, alignment: alignment)
      }
    }
    buffer.withMutableBytes(count..<piece.length) { (span: inout MutableRawSpan) in span.zero() }
    return count
  }

  /// Where `range` lies in a buffer that begins with `piece`'s first byte.
  private func part(_ range: ByteRange, of piece: ByteRange) -> Range<Int> {
    range.isEmpty ? 0..<0 : range.lower - piece.lower..<range.upper - piece.lower
  }
}
