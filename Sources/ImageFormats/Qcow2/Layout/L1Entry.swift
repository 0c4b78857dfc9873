/// One entry of an L1 table (specification, "L1 table entry").
///
/// Isolation: value.
package struct L1Entry: Hashable, Sendable {
  /// The word as it stands on disk, in native byte order.
  package var word: UInt64

  package init(word: UInt64) { self.word = word }
  /// An entry for an L2 table that only this L1 table uses.
  package init(owned table: Int) { word = UInt64(table) | L1Entry.copied }

  /// No L2 table: the whole range is unallocated.
  package static let empty = L1Entry(word: 0)
  private static let copied: UInt64 = 1 << 63
  private static let offsetMask: UInt64 = 0x00ff_ffff_ffff_fe00

  /// "Bits 9 - 55: host offset of the L2 table. Must be aligned to a cluster boundary."
  package var tableOffset: Int { Int(word & L1Entry.offsetMask) }
  /// "Bit 63: 0 for an L2 table that is unused or requires COW, 1 if its refcount is exactly one."
  package var isCopied: Bool { word & L1Entry.copied != 0 }
  /// "Bits 0 - 8 and 56 - 62: Reserved (set to 0)."
  package var hasReservedBits: Bool { word & ~(L1Entry.copied | L1Entry.offsetMask) != 0 }
  /// Whether there is no L2 table.
  package var isEmpty: Bool { tableOffset == 0 }
}
