package import BlockCore
import BlockIO

extension Qcow2Image {
  package func read(
    into bytes: inout MutableRawSpan, at offset: Int
  ) throws(BlockError) {
    let whole = ByteRange(at: offset, length: bytes.byteCount)
    precondition(whole.upper <= virtualSize)
    var rest = whole
    while !rest.isEmpty {
      for run in try mappings(in: rest, limit: 64) {
        let start = run.range.lower - whole.lower
        try bytes.withPart(start..<start + run.range.length) { (part) throws(BlockError) in
          try read(run, into: &part)
        }
        rest = rest.dropping(run.range.length)
      }
    }
  }

  /// Fills `bytes` with one run.
  private func read(
    _ run: ImageMapping, into bytes: inout MutableRawSpan
  ) throws(BlockError) {
    switch run.content {
    case .data(let host): _ = try dataStorage.read(into: &bytes, at: host)
    case .zero: bytes.zero()
    case .compressed: try readCompressed([GuestPiece(run.range, at: 0)], into: &bytes)
    case .unallocated: preconditionFailure("unallocated clusters are read from the layer below")
    }
  }
}
