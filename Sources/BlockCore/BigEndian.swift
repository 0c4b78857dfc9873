// The only file that loads or stores integers in raw bytes: the standard library has no checked
// `RawSpan.load` yet, so the bounds check stands here, once.

extension RawSpan {
  /// The big-endian integer at `offset`. Out of bounds is a programming error: callers check
  /// lengths that come from outside before they read.
  @inlinable
  package func bigEndian<T: FixedWidthInteger & BitwiseCopyable>(
    _ type: T.Type = T.self, at offset: Int
  ) -> T {
    precondition(offset >= 0 && offset + MemoryLayout<T>.size <= byteCount)
    return unsafe T(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: T.self))
  }
  /// The byte at `offset`.
  @inlinable
  package func byte(at offset: Int) -> UInt8 {
    precondition(offset >= 0 && offset < byteCount)
    return unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
  }
  /// A copy of the bytes as an array.
  @inlinable
  package func copied() -> [UInt8] {
    unsafe withUnsafeBytes { unsafe [UInt8]($0) }
  }
  /// Whether every byte is zero. Takes 64 bytes a step, so that scanning costs what reading does.
  @inlinable
  package var isAllZero: Bool {
    var offset = 0
    let count = byteCount
    while offset + 64 <= count {
      let a = unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: SIMD8<UInt64>.self)
      if a != SIMD8<UInt64>(repeating: 0) { return false }
      offset += 64
    }
    while offset < count {
      if byte(at: offset) != 0 { return false }
      offset += 1
    }
    return true
  }
  /// Whether the two runs of bytes are the same.
  @inlinable
  package func isEqual(to other: RawSpan) -> Bool {
    guard byteCount == other.byteCount else { return false }
    var offset = 0
    while offset + 64 <= byteCount {
      let a = unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: SIMD8<UInt64>.self)
      let b = unsafe other.unsafeLoadUnaligned(fromByteOffset: offset, as: SIMD8<UInt64>.self)
      if a != b { return false }
      offset += 64
    }
    while offset < byteCount {
      if byte(at: offset) != other.byte(at: offset) { return false }
      offset += 1
    }
    return true
  }
}

extension MutableRawSpan {
  /// The big-endian integer at `offset`; out of bounds is a programming error.
  @inlinable
  package func bigEndian<T: FixedWidthInteger & BitwiseCopyable>(
    _ type: T.Type = T.self, at offset: Int
  ) -> T {
    precondition(offset >= 0 && offset + MemoryLayout<T>.size <= byteCount)
    return unsafe T(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: T.self))
  }
  /// Stores an integer big-endian at `offset`; out of bounds is a programming error.
  @inlinable
  package mutating func setBigEndian<T: FixedWidthInteger & BitwiseCopyable>(
    _ value: T, at offset: Int
  ) {
    precondition(offset >= 0 && offset + MemoryLayout<T>.size <= byteCount)
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: T.self)
  }
  /// Sets every byte to zero.
  @inlinable
  package mutating func zero() {
    unsafe withUnsafeMutableBytes { unsafe _ = $0.initializeMemory(as: UInt8.self, repeating: 0) }
  }
  /// Copies all of `source` to `offset`; a source that does not fit is a programming error.
  @inlinable
  package mutating func copy(_ source: RawSpan, at offset: Int = 0) {
    precondition(offset >= 0 && offset + source.byteCount <= byteCount)
    unsafe withUnsafeMutableBytes { target in
      unsafe source.withUnsafeBytes { bytes in
        unsafe UnsafeMutableRawBufferPointer(rebasing: target[offset...]).copyMemory(from: bytes)
      }
    }
  }
  /// Calls `body` with the part `range` of the bytes.
  @inlinable
  package mutating func withPart<R, E: Error>(
    _ range: Range<Int>, _ body: (inout MutableRawSpan) throws(E) -> R
  ) throws(E) -> R {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
    var part = _mutatingExtracting(range)
    return try body(&part)
  }
}

extension [UInt8] {
  /// Calls `body` with the array's bytes.
  @inlinable
  package func withBytes<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    try body(unsafe span.bytes)
  }
}

// Integers are whatever their bytes are.
extension Array where Element: FixedWidthInteger & BitwiseCopyable {
  /// Calls `body` with the array's bytes, to be changed in place.
  @inlinable
  package mutating func withMutableBytes<R, E: Error>(
    _ body: (inout MutableRawSpan) throws(E) -> R
  ) throws(E) -> R {
    var elements = mutableSpan
    var bytes = unsafe elements.mutableBytes
    return try body(&bytes)
  }
}
