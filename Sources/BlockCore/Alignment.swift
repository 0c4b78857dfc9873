extension Int {
  /// Whether the number is 1, 2, 4, 8, …
  @inlinable
  package var isPowerOfTwo: Bool { self > 0 && self & (self - 1) == 0 }

  /// The largest multiple of `alignment` that is not above the number.
  /// `alignment` is a power of two; the number is not negative.
  @inlinable
  package func roundedDown(to alignment: Int) -> Int {
    assert(alignment.isPowerOfTwo && self >= 0)
    return self & ~(alignment - 1)
  }

  /// The smallest multiple of `alignment` that is not below the number.
  /// `alignment` is a power of two; the number is not negative and `alignment` below `Int.max`.
  @inlinable
  package func roundedUp(to alignment: Int) -> Int {
    assert(alignment.isPowerOfTwo && self >= 0)
    return (self + (alignment - 1)) & ~(alignment - 1)
  }

  /// How many units of `unit` bytes are needed to hold this many bytes.
  @inlinable
  package func dividedRoundingUp(by unit: Int) -> Int {
    precondition(unit > 0 && self >= 0)
    return self / unit + (self % unit == 0 ? 0 : 1)
  }

  /// Whether the number is a multiple of `alignment`, a power of two.
  @inlinable
  package func isAligned(to alignment: Int) -> Bool {
    assert(alignment.isPowerOfTwo)
    return self & (alignment - 1) == 0
  }
}
