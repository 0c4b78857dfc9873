package import BlockCore
package import ImageFormats

/// Images on top of each other, as a guest sees them, without the graph.
///
/// Isolation: any thread, while nobody writes.
package struct LayeredView: BackingView {
  /// The layers, the top first.
  package let layers: ArraySlice<any ImageDriver>

  /// A view of these layers, the top first.
  package init(_ layers: ArraySlice<any ImageDriver>) { self.layers = layers }

  /// What lies under the top; nil where nothing does.
  package var beneath: LayeredView? {
    layers.count > 1 ? LayeredView(layers.dropFirst()) : nil
  }

  package func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) {
    guard let top = layers.first else { return bytes.zero() }
    let wanted = ByteRange(at: offset, length: bytes.byteCount)
    var rest = wanted.intersection(ByteRange(at: 0, length: top.virtualSize))
    bytes.withPart(rest.length..<bytes.byteCount) { $0.zero() }
    while !rest.isEmpty {
      for run in try top.mappings(in: rest, limit: 64) {
        let part = run.range.lower - offset..<run.range.upper - offset
        try bytes.withPart(part) { (part) throws(BlockError) in
          switch run.content {
          case .zero: part.zero()
          case .data, .compressed: try top.read(into: &part, at: run.range.lower)
          case .unallocated:
            try LayeredView(layers.dropFirst()).read(into: &part, at: run.range.lower)
          }
        }
        rest = rest.dropping(run.range.length)
      }
    }
  }

  package func readsZero(_ range: ByteRange) throws(BlockError) -> Bool {
    // What lies past the end reads zero, however much it is.
    let end = layers.first?.virtualSize ?? 0
    let inside = range.intersection(ByteRange(at: 0, length: end))
    var bytes = [UInt8](repeating: 0xff, count: inside.length)
    try bytes.withMutableBytes { (span) throws(BlockError) in
      try read(into: &span, at: inside.lower)
    }
    return bytes.withBytes { $0.isAllZero }
  }
}
