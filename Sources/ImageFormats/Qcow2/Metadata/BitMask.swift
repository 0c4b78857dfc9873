extension UInt64 {
  /// `count` ones, 1 to 64, from bit `position` on; all lie in the word.
  static func ones(_ count: Int, from position: Int) -> UInt64 {
    (.max >> UInt64(64 - count)) << UInt64(position)
  }
}
