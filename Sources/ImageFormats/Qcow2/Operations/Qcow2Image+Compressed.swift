package import BlockCore
import BlockIO
import Synchronization

extension Qcow2Image {
  /// Compressed clusters mostly lie side by side, in the order of the guest's: so many bytes of
  /// them are read at once, or one cluster where that is larger.
  private static let packedReadBytes = 256 << 10
  /// Bytes between two clusters that are rather read than left out.
  private static let packedGapBytes = 4 << 10

  /// A compressed cluster, and what is wanted of it.
  private struct Wanted {
    /// The guest offset at which it begins.
    let guest: Int
    /// Where it lies in the file.
    let place: CompressedCluster
    /// Parts of it, each with its place in memory.
    var pieces: [GuestPiece]
  }

  package func readCompressed(
    _ pieces: [GuestPiece], into bytes: inout MutableRawSpan
  ) throws(BlockError) {
    let runs = packedRuns(try wanted(by: pieces))
    for run in runs.dropFirst() { dataStorage.prefetch(run.range) }
    let decoder = try ClusterDecoder(compression)
    for run in runs {
      var input = [UInt8](repeating: 0, count: run.range.length)
      let got = try input.withMutableBytes { (target) throws(BlockError) in
        try dataStorage.read(into: &target, at: run.range.lower)
      }
      for cluster in run.clusters {
        // Lengths are in sectors, so the file may end before the last one does.
        let start = min(cluster.place.offset - run.range.lower, got)
        let packed = start..<min(start + cluster.place.length, got)
        try input.withBytes { (input) throws(BlockError) in
          try unpack(cluster, from: input.extracting(packed), with: decoder, into: &bytes)
        }
      }
    }
  }

  /// The clusters that hold `pieces`, in the guest's order.
  private func wanted(by pieces: [GuestPiece]) throws(BlockError) -> [Wanted] {
    try look { (state) throws(BlockError) in
      var clusters: [Wanted] = []
      for piece in pieces {
        var rest = piece
        while !rest.range.isEmpty {
          let guest = rest.range.lower.roundedDown(to: clusterSize)
          let length = min(guest + (clusterSize - rest.range.lower), rest.range.length)
          let part = GuestPiece(rest.range.prefix(length), at: rest.place)
          if let last = clusters.last, last.guest == guest {
            clusters[clusters.count - 1].pieces.append(part)
          } else {
            let word = try state.l2Word(guest: guest)
            guard case .compressed(let place) = try state.meaning(of: word, guest: guest) else {
              preconditionFailure("the caller holds the range, so its mapping stays")
            }
            clusters.append(Wanted(guest: guest, place: place, pieces: [part]))
          }
          rest = GuestPiece(rest.range.dropping(length), at: rest.place + length)
        }
      }
      return clusters
    }
  }

  /// The reads that bring `clusters`, in the order of the file.
  private func packedRuns(_ clusters: [Wanted]) -> [(range: ByteRange, clusters: [Wanted])] {
    var runs: [(range: ByteRange, clusters: [Wanted])] = []
    for cluster in clusters.sorted(by: { $0.place.offset < $1.place.offset }) {
      let bytes = ByteRange(at: cluster.place.offset, length: cluster.place.length)
      if let last = runs.last, bytes.lower <= last.range.upper + Qcow2Image.packedGapBytes,
        bytes.upper <= last.range.lower + Qcow2Image.packedReadBytes
      {
        let end = max(last.range.upper, bytes.upper)
        runs[runs.count - 1].range = ByteRange(from: last.range.lower, to: end)
        runs[runs.count - 1].clusters.append(cluster)
      } else {
        runs.append((bytes, [cluster]))
      }
    }
    return runs
  }

  /// Brings what is wanted of `cluster` to its places.
  private func unpack(
    _ cluster: Wanted, from input: RawSpan, with decoder: borrowing ClusterDecoder,
    into bytes: inout MutableRawSpan
  ) throws(BlockError) {
    if let piece = cluster.pieces.first, piece.range.length == clusterSize {
      return try bytes.withPart(piece.place..<piece.place + clusterSize) {
        (output) throws(BlockError) in
        try decode(cluster, from: input, with: decoder, into: &output)
      }
    }
    var whole = [UInt8](repeating: 0, count: clusterSize)
    try whole.withMutableBytes { (output) throws(BlockError) in
      try decode(cluster, from: input, with: decoder, into: &output)
    }
    whole.withBytes { (whole: RawSpan) in
      for piece in cluster.pieces {
        let start = piece.range.lower - cluster.guest
        bytes.copy(whole.extracting(start..<start + piece.range.length), at: piece.place)
      }
    }
  }

  private func decode(
    _ cluster: Wanted, from input: RawSpan, with decoder: borrowing ClusterDecoder,
    into output: inout MutableRawSpan
  ) throws(BlockError) {
    if let fault = decoder.decode(input, into: &output) {
      throw BlockError(
        .corrupt, "The compressed cluster at guest offset \(cluster.guest) \(fault)", file: name,
        offset: cluster.place.offset)
    }
  }
}
