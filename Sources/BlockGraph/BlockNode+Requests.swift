package import BlockCore
package import ImageFormats

extension BlockNode {
  /// Fills `bytes` with what this layer holds; for each part where it holds nothing, calls
  /// `beneath` with that part and its offset. Lane.
  package func read(
    into bytes: inout MutableRawSpan, at offset: Int,
    beneath: (inout MutableRawSpan, Int) throws(BlockError) -> Void
  ) throws(BlockError) {
    try check(offset, bytes.byteCount)
    guard bytes.byteCount > 0 else { return }
    let range = ByteRange(at: offset, length: bytes.byteCount)
    try counters.reads.count(range.length) { () throws(BlockError) in
      try withRange(range) { (image) throws(BlockError) in
        if holdsEveryByte { return try image.read(into: &bytes, at: offset) }
        try readLayer(image, range, into: &bytes, beneath: beneath)
      }
    }
  }

  /// The same for an image whose layer may have holes.
  private func readLayer(
    _ image: any ImageDriver, _ range: ByteRange, into bytes: inout MutableRawSpan,
    beneath: (inout MutableRawSpan, Int) throws(BlockError) -> Void
  ) throws(BlockError) {
    var rest = range
    while !rest.isEmpty {
      for mapping in try checkedMappings(of: image, in: rest, limit: BlockNode.runsPerLookup) {
        let part = mapping.range.lower - range.lower..<mapping.range.upper - range.lower
        try bytes.withPart(part) { (piece) throws(BlockError) in
          switch mapping.content {
          case .data, .compressed: try image.read(into: &piece, at: mapping.range.lower)
          case .zero: piece.zero()
          case .unallocated: try beneath(&piece, mapping.range.lower)
          }
        }
        rest = rest.dropping(mapping.range.length)
      }
    }
  }

  /// Fills `bytes` with what this layer alone holds, zero where it holds nothing. Lane.
  package func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) {
    try read(into: &bytes, at: offset) { (hole, _) in hole.zero() }
  }

  /// What this layer alone holds from `range.lower` on, as `ImageDriver.mappings`. Lane.
  package func mappings(
    in range: ByteRange, limit: Int
  ) throws(BlockError) -> [ImageMapping] {
    try check(range.lower, range.length)
    precondition(!range.isEmpty && limit > 0)
    return try withRange(range) { (image) throws(BlockError) in
      try checkedMappings(of: image, in: range, limit: limit)
    }
  }

  /// Writes `bytes`; parts of clusters that they do not cover come from this layer or from
  /// `backing`. Zero bytes become a zero range where `detect-zeroes` asks for it. Lane.
  package func write(
    _ bytes: RawSpan, at offset: Int, over backing: (any BackingView)?
  ) throws(BlockError) {
    try check(offset, bytes.byteCount)
    guard bytes.byteCount > 0 else { return }
    let range = ByteRange(at: offset, length: bytes.byteCount)
    if options.detectZeroes != .off && bytes.isAllZero {
      return try writeZeroes(
        range, deallocate: options.detectZeroes == .unmap, over: backing)
    }
    try counting(counters.writes, range) { () throws(BlockError) in
      try image.write(bytes, at: offset, over: backing)
    }
  }

  /// Writes `range`, whose bytes `fill` brings to where they are to lie. Nobody looks at them, so
  /// that zeros among them stay bytes. Lane.
  package func write(
    _ range: ByteRange, over backing: (any BackingView)?, filling fill: WriteFiller
  ) throws(BlockError) {
    try check(range.lower, range.length)
    guard !range.isEmpty else { return }
    try counting(counters.writes, range) { () throws(BlockError) in
      try image.write(range, over: backing, filling: fill)
    }
  }

  /// Writes pieces of `bytes`, which do not overlap, while nothing else touches what lies from the
  /// first to the last of them. Lane.
  package func write(
    _ pieces: [GuestPiece], of bytes: RawSpan, over backing: (any BackingView)?
  ) throws(BlockError) {
    guard let first = pieces.first else { return }
    var hull = first.range
    var count = 0
    for piece in pieces {
      try check(piece.range.lower, piece.range.length)
      hull = ByteRange(
        from: min(hull.lower, piece.range.lower), to: max(hull.upper, piece.range.upper))
      count += piece.range.length
    }
    try counters.writes.count(count) { () throws(BlockError) in
      try changing(hull, locking: lockRange(hull)) { () throws(BlockError) in
        try image.write(pieces, of: bytes, over: backing)
      }
    }
    counters.noteWrite(upTo: hull.upper)
  }

  /// Calls `body`, which takes `bytes` bytes from `range` of the image, while no change touches
  /// them. Lane.
  package func reading(
    _ bytes: Int, from range: ByteRange, _ body: (any ImageDriver) throws(BlockError) -> Void
  ) throws(BlockError) {
    try check(range.lower, range.length)
    try counters.reads.count(bytes) { () throws(BlockError) in
      try withRange(range, body)
    }
  }

  /// Makes `range` read zero whatever lies underneath; with `deallocate` its space is given back
  /// where the node lets discards through. Lane.
  package func writeZeroes(
    _ range: ByteRange, deallocate: Bool, over backing: (any BackingView)?
  ) throws(BlockError) {
    try check(range.lower, range.length)
    guard !range.isEmpty else { return }
    try counting(counters.zeroes, range) { () throws(BlockError) in
      try image.writeZeroes(
        range, deallocate: deallocate && options.discard == .unmap, over: backing)
    }
  }

  /// Everything written so far is durable when it returns. Lane.
  package func flush() throws(BlockError) {
    // What was written before damage was found is made durable.
    guard !image.isReadOnly else { return }
    try counters.flushes.count(0) { () throws(BlockError) in
      try withRange(ByteRange(at: 0, length: 0)) { (image) throws(BlockError) in
        try image.flush()
      }
    }
  }

  /// A write of `range` that `counter` counts.
  private func counting(
    _ counter: RequestCounter, _ range: ByteRange, _ write: () throws(BlockError) -> Void
  ) throws(BlockError) {
    try counter.count(range.length) { () throws(BlockError) in
      try changing(range, locking: lockRange(range), write)
    }
    counters.noteWrite(upTo: range.upper)
  }

  /// Sets the guest disk's length; what comes in reads zero, also over a longer `backing`. Lane.
  package func resize(
    to size: Int, over backing: (any BackingView)?
  ) throws(BlockError) {
    let old = virtualSize
    let gained = ByteRange(from: min(old, size), to: max(old, size))
    try changing(gained, locking: BlockNode.everything) { () throws(BlockError) in
      try image.resize(to: size, over: backing)
    }
  }

  /// Starts to empty the layer. Each step of what is returned has the image to itself. Lane.
  package func makeEmpty(_ mode: EmptyMode) throws(BlockError) -> any ImageOperation {
    let operation = try withWholeImage { (image) throws(BlockError) in
      try image.makeEmpty(mode)
    }
    return ExclusiveOperation(operation, on: self)
  }

  /// Names another backing file in the image, durably when it returns; edges of the graph stay as
  /// they are. Lane.
  package func setBackingLink(_ link: BackingLink?) throws(BlockError) {
    try withWholeImage { (image) throws(BlockError) in try image.setBackingLink(link) }
  }

  /// Runs that one look at an image's tables may return on the way of a read.
  private static var runsPerLookup: Int { 64 }

  /// The image's answer, held to its contract: a wrong one would become wrong guest data.
  private func checkedMappings(
    of image: any ImageDriver, in range: ByteRange, limit: Int
  ) throws(BlockError) -> [ImageMapping] {
    let mappings = try image.mappings(in: range, limit: limit)
    var end = range.lower
    for mapping in mappings {
      precondition(mapping.range.lower == end && !mapping.range.isEmpty, "mappings have no gaps")
      end = mapping.range.upper
    }
    precondition(end > range.lower && end <= range.upper, "mappings lie inside what was asked")
    return mappings
  }
}

/// An operation on an image as a whole, each step of which waits until it has the node to itself.
///
/// Isolation: one lane at a time.
private final class ExclusiveOperation: ImageOperation {
  private let operation: any ImageOperation
  private let node: BlockNode

  init(_ operation: any ImageOperation, on node: BlockNode) {
    self.operation = operation
    self.node = node
  }

  func step() throws(BlockError) -> Bool {
    var isDone = false
    let all = ByteRange(at: 0, length: node.virtualSize)
    try node.changing(all, locking: BlockNode.everything) { () throws(BlockError) in
      isDone = try operation.step()
    }
    return isDone
  }

  var progress: (done: Int, total: Int) { operation.progress }
  var isPastNoReturn: Bool { operation.isPastNoReturn }
}
