import BlockCore
import BlockGraph
import BlockIO
import ImageFormats

/// Runs of data, of one layer or several, on their way to the base through one buffer: all are
/// read, and then written in as few pieces as the base can take them in. What turns out to be zero
/// is zeroed there instead.
///
/// Isolation: one lane.
struct CopyBatch {
  /// Runs of one look at a layer's tables.
  private static let runsPerLook = 256
  /// Parts with at most this gap between them are looked up together: each look costs a lock, and
  /// each table between them a read.
  private static let lookGap = 16 << 20
  /// Zeros are looked for in units of this, or of the base's clusters where they are larger.
  private static let leastZeroUnit = 64 << 10

  /// A part that one layer holds.
  private struct Part {
    let layer: Int
    var piece: GuestPiece
  }

  private let source: CopySource
  private let target: BackingChain
  private let zeroes: ZeroWriter
  let buffer: IOBuffer
  /// The most bytes that it holds.
  let limit: Int
  private let alignment: Int
  /// Where buffers for the base's bytes come from; nil where they are not compared.
  private let comparison: BufferPool?
  private var parts: [Part] = []
  /// Bytes of all parts.
  private(set) var bytes = 0

  /// An empty batch of about `limit` bytes. Parts are cut at multiples of `alignment`; the buffer
  /// holds at least one.
  init(
    _ source: CopySource, zeroing zeroes: ZeroWriter, through buffer: IOBuffer,
    comparingIn comparison: BufferPool? = nil, limit: Int, alignment: Int
  ) {
    precondition(buffer.count >= alignment)
    self.comparison = comparison
    self.limit = min(buffer.count, limit.roundedUp(to: alignment))
    self.source = source
    target = zeroes.target
    self.zeroes = zeroes
    self.buffer = buffer
    self.alignment = alignment
  }

  /// Takes in the front of `range`, which `layer` holds, as far as there is room. Returns how many
  /// bytes that is: none where the batch has to be copied first.
  mutating func add(_ range: ByteRange, of layer: Int) -> Int {
    let room = limit - bytes
    var length = range.length
    if length > room {
      let end = range.lower > Int.max - room ? Int.max : range.lower + room
      length = max(0, end.roundedDown(to: alignment) - range.lower)
    }
    if length == 0 { return 0 }
    let piece = GuestPiece(range.prefix(length), at: bytes)
    if let last = parts.last, last.layer == layer, last.piece.range.upper == range.lower {
      parts[parts.count - 1].piece.range.length += length
    } else {
      parts.append(Part(layer: layer, piece: piece))
    }
    bytes += length
    return length
  }

  /// Copies all parts; then the batch is empty. An error says whether a layer or the base caused
  /// it.
  mutating func copy() throws(StepError) {
    if parts.isEmpty { return }
    try StepError.during(.read) { () throws(BlockError) in
      for layer in Set(parts.map(\.layer)).sorted() { try read(of: layer) }
    }
    try StepError.during(.write) { () throws(BlockError) in try write() }
    parts.removeAll(keepingCapacity: true)
    bytes = 0
  }

  // MARK: Reading

  /// Reads all parts of `layer`.
  private func read(of layer: Int) throws(BlockError) {
    let pieces = parts.filter { $0.layer == layer }.map(\.piece)
    guard let first = pieces.first, let last = pieces.last else { return }
    let hull = ByteRange(from: first.range.lower, to: last.range.upper)
    let count = pieces.reduce(0) { $0 + $1.range.length }
    try source.chain.nodes[layer].reading(count, from: hull) { (image) throws(BlockError) in
      var reads = Reads()
      var index = 0
      var done = 0
      while index < pieces.count {
        let end = CopyBatch.end(ofLookFrom: index, in: pieces)
        let rest = ByteRange(from: pieces[index].range.lower + done, to: end)
        for run in try image.mappings(in: rest, limit: CopyBatch.runsPerLook) {
          while index < pieces.count {
            let piece = pieces[index]
            let wanted = piece.range.dropping(done)
            let part = wanted.intersection(run.range)
            if part.isEmpty { break }
            let place = piece.place + part.lower - piece.range.lower
            take(GuestPiece(part, at: place), run, &reads)
            done += part.length
            if done < piece.range.length { break }
            index += 1
            done = 0
          }
        }
      }
      try buffer.withMutableBytes(0..<bytes) { (bytes) throws(BlockError) in
        try image.readCompressed(reads.compressed, into: &bytes)
      }
      try image.dataStorage.perform(reads.requests)
    }
  }

  /// Where a look ends that begins with the piece at `index`.
  private static func end(ofLookFrom index: Int, in pieces: [GuestPiece]) -> Int {
    var end = pieces[index].range.upper
    for piece in pieces[(index + 1)...] {
      if piece.range.lower - end > lookGap { break }
      end = piece.range.upper
    }
    return end
  }

  /// What has to be read of a layer.
  private struct Reads {
    /// Of the file as it is: the disk is asked for all of it at once.
    var requests: [IORequest] = []
    var compressed: [GuestPiece] = []
  }

  /// Takes `piece`, which lies in `run`, into `reads`, or zeros it.
  private func take(_ piece: GuestPiece, _ run: ImageMapping, _ reads: inout Reads) {
    let memory = piece.place..<piece.place + piece.range.length
    switch run.content {
    case .data(let host):
      let offset = host + piece.range.lower - run.range.lower
      IORequest.append(IORequest(.read, at: offset, buffer, memory), to: &reads.requests)
    case .compressed: GuestPiece.append(piece, to: &reads.compressed)
    // It held data when it was looked at. What came since is marked, and copied again.
    case .zero, .unallocated:
      buffer.withMutableBytes(memory) { (bytes: inout MutableRawSpan) in bytes.zero() }
    }
  }

  // MARK: Writing

  private func write() throws(BlockError) {
    var pieces: [GuestPiece] = []
    var zeros: [GuestPiece] = []
    buffer.withBytes(0..<bytes) { (bytes: RawSpan) in
      for part in parts { sort(part.piece, bytes, &pieces, &zeros) }
    }
    if let comparison {
      pieces = try comparison.withBuffer { (other) throws(BlockError) in
        try differing(pieces, other)
      }
    }
    try buffer.withBytes(0..<bytes) { (bytes) throws(BlockError) in
      try target.write(pieces, of: bytes)
    }
    for piece in zeros {
      var rest = piece.range
      while !rest.isEmpty { rest = rest.dropping(try zeroes.zeroFront(of: rest)) }
    }
  }

  /// What is compared at a time; a cluster where that is larger.
  private static let comparedBytes = 256 << 10

  /// Buffers for what `target` shows.
  static func comparisonBuffers(for target: BackingChain) -> BufferPool {
    .of(size: max(comparedBytes, target.top.image.clusterSize))
  }

  /// What of `pieces` the base does not show yet, in units of its clusters. `other` takes what it
  /// shows.
  private func differing(
    _ pieces: [GuestPiece], _ other: IOBuffer
  ) throws(BlockError) -> [GuestPiece] {
    let unit = max(target.top.image.clusterSize, IOBuffer.alignment)
    var changed: [GuestPiece] = []
    for piece in pieces {
      for part in piece.cut(every: other.count) {
        try other.withMutableBytes(0..<part.range.length) { (bytes) throws(BlockError) in
          try target.read(into: &bytes, at: part.range.lower)
        }
        for front in part.cut(every: unit) {
          let place = front.place - part.place
          let length = front.range.length
          let isSame = buffer.withBytes(front.place..<front.place + length) { (bytes: RawSpan) in
            other.withBytes(place..<place + length) { (shown: RawSpan) in bytes.isEqual(to: shown) }
          }
          if !isSame { GuestPiece.append(front, to: &changed) }
        }
      }
    }
    return changed
  }

  /// Splits `piece` into what is to be written and what is zero in whole units.
  private func sort(
    _ piece: GuestPiece, _ bytes: RawSpan, _ pieces: inout [GuestPiece],
    _ zeros: inout [GuestPiece]
  ) {
    let unit = max(target.top.image.clusterSize, CopyBatch.leastZeroUnit)
    for front in piece.cut(every: unit) {
      let end = front.place + front.range.length
      let isZero =
        front.range.length == unit && bytes.extracting(front.place..<end).isAllZero
      if isZero {
        GuestPiece.append(front, to: &zeros)
      } else {
        GuestPiece.append(front, to: &pieces)
      }
    }
  }
}

extension GuestPiece {
  /// The piece, cut at each multiple of `unit`, a power of two.
  fileprivate func cut(every unit: Int) -> some Sequence<GuestPiece> {
    sequence(state: self) { rest -> GuestPiece? in
      if rest.range.isEmpty { return nil }
      let start = rest.range.lower.roundedDown(to: unit)
      let length = min(start + (unit - rest.range.lower), rest.range.length)
      defer { rest = GuestPiece(rest.range.dropping(length), at: rest.place + length) }
      return GuestPiece(rest.range.prefix(length), at: rest.place)
    }
  }
}
