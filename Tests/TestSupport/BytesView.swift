package import BlockCore
import ImageFormats

/// Bytes that lie under an image.
///
/// Isolation: value.
package struct BytesView: BackingView {
  /// What shows through; past its end zeros do.
  package let bytes: [UInt8]

  /// A view of `bytes`.
  package init(_ bytes: [UInt8]) { self.bytes = bytes }

  package func read(into target: inout MutableRawSpan, at offset: Int) throws(BlockError) {
    target.zero()
    if offset >= bytes.count { return }
    let count = min(target.byteCount, bytes.count - offset)
    bytes.withBytes { target.copy($0.extracting(offset..<offset + count)) }
  }

  package func readsZero(_ range: ByteRange) throws(BlockError) -> Bool {
    range.lower >= bytes.count
  }
}
