/// One entry of the refcount table (specification, "Refcount table entry").
///
/// Isolation: value.
package struct RefcountTableEntry: Hashable, Sendable {
  /// The word as it stands on disk, in native byte order.
  package var word: UInt64

  package init(word: UInt64) { self.word = word }

  /// "Bits 9 - 63: offset of the refcount block; 0 if it is not allocated." Never negative as a
  /// file offset, so the top bit is a reserved bit here.
  package var blockOffset: Int { Int(word & 0x7fff_ffff_ffff_fe00) }
  /// "Bits 0 - 8: Reserved (set to 0)."
  package var hasReservedBits: Bool { word & ~0x7fff_ffff_ffff_fe00 != 0 }
}
