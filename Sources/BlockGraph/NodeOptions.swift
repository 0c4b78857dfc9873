import BlockCore

/// How a node treats guest writes, as `blockdev-add` sets it.
///
/// Isolation: value.
package struct NodeOptions: Hashable, Sendable {
  /// What becomes of a guest's discards.
  package enum Discard: String, Sendable, CaseIterable { case ignore, unmap }
  /// Whether writes of zero bytes become zero ranges, and whether their space is given back.
  package enum DetectZeroes: String, Sendable, CaseIterable { case off, on, unmap }

  package var discard: Discard
  package var detectZeroes: DetectZeroes

  /// QEMU's defaults unless told otherwise.
  package init(discard: Discard = .ignore, detectZeroes: DetectZeroes = .off) {
    self.discard = discard
    self.detectZeroes = detectZeroes
  }

  /// Throws `invalidArgument` for options that contradict each other.
  func check() throws(BlockError) {
    guard detectZeroes != .unmap || discard == .unmap else {
      throw BlockError(
        .invalidArgument,
        "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap")
    }
  }
}
