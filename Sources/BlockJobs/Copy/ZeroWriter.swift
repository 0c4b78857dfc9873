import BlockCore
import BlockGraph
import ImageFormats

/// Makes ranges of a chain's top read zero, slice by slice, and leaves alone what already does.
///
/// Isolation: value; calls block and belong on lanes.
struct ZeroWriter: Sendable {
  /// One call's worth: a format may have to touch a table entry for each cluster of it, a file
  /// system an extent.
  private static let sliceBytes = 64 << 20

  /// The chain to whose top is written.
  let target: BackingChain
  /// The same top over what will lie under it, where the layers between are to go: there the range
  /// is to read zero. Nil where the chain stays.
  var later: BackingChain?

  /// Makes the front of `range` read zero, as much as one call may. Returns its length.
  func zeroFront(of range: ByteRange) throws(BlockError) -> Int {
    let slice = range.prefix(ZeroWriter.sliceBytes)
    guard try (later ?? target).view(from: 0)?.readsZero(slice) != true else { return slice.length }
    guard let later else {
      try target.writeZeroes(slice, deallocate: true)
      return slice.length
    }
    return try zeroFront(of: slice, for: later)
  }

  /// As long as the layers between are there, the top reads zero, so its format would see nothing
  /// to do. For whole clusters it is told of what will lie there; the rest of other clusters has to
  /// come from what lies there now, so these get zero bytes, as a piece: bytes that the node itself
  /// would find to be zero (`detect-zeroes`) would be left out again.
  private func zeroFront(of slice: ByteRange, for later: BackingChain) throws(BlockError) -> Int {
    let cluster = target.top.image.clusterSize
    let isEnd = slice.upper == target.virtualSize
    let end = isEnd ? slice.upper : slice.upper.roundedDown(to: cluster)
    if slice.lower.isMultiple(of: cluster), end > slice.lower {
      let whole = ByteRange(from: slice.lower, to: end)
      try later.writeZeroes(whole, deallocate: true)
      return whole.length
    }
    let next = (slice.lower + 1).roundedUp(to: cluster)
    let part = slice.prefix(next - slice.lower)
    let zeros = [UInt8](repeating: 0, count: part.length)
    try zeros.withBytes { (bytes) throws(BlockError) in
      try target.write([GuestPiece(part, at: 0)], of: bytes)
    }
    return part.length
  }
}
