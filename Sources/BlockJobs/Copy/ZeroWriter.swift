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

  /// Makes the first slice of `range` read zero. Returns its length.
  func zeroFront(of range: ByteRange) throws(BlockError) -> Int {
    let slice = range.prefix(ZeroWriter.sliceBytes)
    if try target.view(from: 0)?.readsZero(slice) != true {
      try target.writeZeroes(slice, deallocate: true)
    }
    return slice.length
  }
}
