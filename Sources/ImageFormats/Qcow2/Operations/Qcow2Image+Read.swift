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
    case .compressed: try readCompressed(into: &bytes, at: run.range.lower)
    case .unallocated: preconditionFailure("unallocated clusters are read from the layer below")
    }
  }

  /// Fills `bytes` from compressed clusters, one after the other.
  private func readCompressed(
    into bytes: inout MutableRawSpan, at offset: Int
  ) throws(BlockError) {
    let whole = ByteRange(at: offset, length: bytes.byteCount)
    let decoder = try ClusterDecoder(compression)
    var position = whole.lower
    while position < whole.upper {
      let start = position.roundedDown(to: clusterSize)
      let part = ByteRange(at: start, length: clusterSize).intersection(whole)
      let cluster = try compressedCluster(at: start)
      let target = part.lower - whole.lower
      if part.length == clusterSize {
        try bytes.withPart(target..<target + clusterSize) { (output) throws(BlockError) in
          try decode(cluster, with: decoder, into: &output, guest: start)
        }
      } else {
        var output = [UInt8](repeating: 0, count: clusterSize)
        try output.withMutableBytes { (output) throws(BlockError) in
          try decode(cluster, with: decoder, into: &output, guest: start)
        }
        output.withBytes {
          bytes.copy(
            $0.extracting(part.lower - start..<part.upper - start), at: target)
        }
      }
      position = part.upper
    }
  }

  private func compressedCluster(at guest: Int) throws(BlockError) -> CompressedCluster {
    try look { (state) throws(BlockError) in
      let word = try state.l2Word(guest: guest)
      guard case .compressed(let cluster) = try state.meaning(of: word, guest: guest) else {
        preconditionFailure("the caller holds the range, so its mapping stays")
      }
      return cluster
    }
  }

  private func decode(
    _ cluster: CompressedCluster, with decoder: borrowing ClusterDecoder,
    into output: inout MutableRawSpan, guest: Int
  ) throws(BlockError) {
    var input = [UInt8](repeating: 0, count: cluster.length)
    let got = try input.withMutableBytes { (target) throws(BlockError) in
      try dataStorage.read(into: &target, at: cluster.offset)
    }
    // The count is in sectors, so the file may end before.
    let fault = input.withBytes { decoder.decode($0.extracting(0..<got), into: &output) }
    if let fault {
      throw BlockError(
        .corrupt, "The compressed cluster at guest offset \(guest) \(fault)", file: name,
        offset: cluster.offset)
    }
  }
}
