package import BlockCore
package import ImageFormats

extension Qcow2Image {
  /// What a guest sees of `range` with `backing` under the image: each run is read from where the
  /// image says that it lives.
  package func view(
    _ range: ByteRange, over backing: (any BackingView)? = nil
  ) throws(BlockError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xee, count: range.length)
    try bytes.withMutableBytes { (target) throws(BlockError) in
      var rest = range
      while !rest.isEmpty {
        for run in try mappings(in: rest, limit: 16) {
          let start = run.range.lower - range.lower
          try target.withPart(start..<start + run.range.length) { (part) throws(BlockError) in
            if run.content != .unallocated {
              try read(into: &part, at: run.range.lower)
            } else if let backing {
              try backing.read(into: &part, at: run.range.lower)
            } else {
              part.zero()
            }
          }
          rest = rest.dropping(run.range.length)
        }
      }
    }
    return bytes
  }
}
