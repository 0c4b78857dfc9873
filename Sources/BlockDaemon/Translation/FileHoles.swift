import BlockCore
import BlockGraph
import BlockIO
import ImageFormats

/// Finds the holes that the files of preallocated images have where their tables name data, as
/// `qemu-img map` does.
///
/// Isolation: one lane.
struct FileHoles {
  private let chain: BackingChain
  /// Whether a layer's data may be holes of its file, as far as it is known.
  private var layers: [Int: Bool] = [:]

  init(_ chain: BackingChain) { self.chain = chain }

  /// `run` in parts that are holes and parts that are not. Blocks.
  mutating func split(_ run: ChainRun) throws(BlockError) -> [(run: ChainRun, isHole: Bool)] {
    guard case .data(let host) = run.content, try mayBeHoles(run.layer) else {
      return [(run, false)]
    }
    // A job may close the node, and with it the file, at any moment: not inside.
    return try chain.nodes[run.layer].withRange(run.range) { (image) throws(BlockError) in
      try split(run, at: host, of: image.dataStorage)
    }
  }

  private func split(
    _ run: ChainRun, at host: Int, of storage: any Storage
  ) throws(BlockError) -> [(run: ChainRun, isHole: Bool)] {
    var parts: [(run: ChainRun, isHole: Bool)] = []
    var rest = ByteRange(at: host, length: run.range.length)
    while !rest.isEmpty {
      let extent = try storage.extent(in: rest)
      let guest = run.range.lower + rest.lower - host
      let part = ChainRun(
        range: ByteRange(at: guest, length: extent.range.length), layer: run.layer,
        content: .data(at: rest.lower))
      parts.append((part, !extent.isData))
      rest = rest.dropping(extent.range.length)
    }
    return parts
  }

  private mutating func mayBeHoles(_ layer: Int) throws(BlockError) -> Bool {
    if let known = layers[layer] { return known }
    let nothing = ByteRange(at: 0, length: 0)
    let answer = try chain.nodes[layer].withRange(nothing) { (image) throws(BlockError) in
      guard let image = image as? Qcow2Image, let file = image.dataStorage as? HostFile else {
        return false
      }
      return try image.isPreallocated(allocated: file.allocatedBytes())
    }
    layers[layer] = answer
    return answer
  }
}
