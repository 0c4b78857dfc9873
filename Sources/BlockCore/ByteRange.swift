/// A half-open run of bytes `[lower, upper)` on a disk or in a file.
///
/// Offsets and lengths are `Int` everywhere above the on-disk words: `off_t` is a signed 64-bit
/// number, so a value that does not fit an `Int` cannot be a position in a file. Words read from an
/// image stay `UInt64` until they have been checked.
///
/// Isolation: value.
package struct ByteRange: Hashable, Sendable, CustomStringConvertible {
  /// First byte of the run.
  package var lower: Int
  /// Number of bytes; never negative.
  package var length: Int

  /// A run of `length` bytes that begins at `lower`. Both are ours by now, so a negative number or
  /// an end past `Int.max` is a programming error.
  @inlinable
  package init(at lower: Int, length: Int) {
    precondition(lower >= 0 && length >= 0, "a byte range has no negative bounds")
    precondition(!lower.addingReportingOverflow(length).overflow, "a byte range ends within Int")
    self.lower = lower
    self.length = length
  }

  /// The run from `lower` up to, and without, `upper`.
  @inlinable
  package init(from lower: Int, to upper: Int) {
    self.init(at: lower, length: upper - lower)
  }

  /// One past the last byte.
  @inlinable
  package var upper: Int { lower + length }
  /// Whether the run holds no byte.
  @inlinable
  package var isEmpty: Bool { length == 0 }

  /// Whether `offset` lies inside the run.
  @inlinable
  package func contains(_ offset: Int) -> Bool { offset >= lower && offset < upper }
  /// Whether every byte of `other` lies inside the run.
  @inlinable
  package func contains(_ other: ByteRange) -> Bool {
    other.lower >= lower && other.upper <= upper
  }
  /// Whether the two runs share at least one byte.
  @inlinable
  package func overlaps(_ other: ByteRange) -> Bool {
    max(lower, other.lower) < min(upper, other.upper)
  }
  /// The bytes that both runs hold; empty, at the larger beginning, when they share none.
  @inlinable
  package func intersection(_ other: ByteRange) -> ByteRange {
    let low = max(lower, other.lower)
    return ByteRange(from: low, to: max(low, min(upper, other.upper)))
  }
  /// The smallest run of whole `alignment` units (a power of two) that holds this one.
  @inlinable
  package func widened(to alignment: Int) -> ByteRange {
    ByteRange(from: lower.roundedDown(to: alignment), to: upper.roundedUp(to: alignment))
  }
  /// The largest run of whole `alignment` units (a power of two) inside this one; may be empty.
  @inlinable
  package func narrowed(to alignment: Int) -> ByteRange {
    let low = lower.roundedUp(to: alignment)
    return ByteRange(from: low, to: max(low, upper.roundedDown(to: alignment)))
  }
  /// At most the first `count` bytes of the run.
  @inlinable
  package func prefix(_ count: Int) -> ByteRange {
    ByteRange(at: lower, length: min(length, count))
  }
  /// What is left of the run after its first `count` bytes.
  @inlinable
  package func dropping(_ count: Int) -> ByteRange {
    let gone = min(count, length)
    return ByteRange(at: lower + gone, length: length - gone)
  }

  package var description: String { "[\(lower), \(upper))" }
}
