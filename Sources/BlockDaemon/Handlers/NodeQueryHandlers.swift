import BlockCore
import BlockGraph
import BlockRuntime
import ImageFormats
import QMP

extension CommandDispatcher {
  /// The queries that our client needs beyond QEMU's.
  func addNodeQueryHandlers(_ services: DaemonServices) {
    let graph = services.graph
    on(NodeInfoQuery.self) { (call) async throws(QMPError) in
      let node = try services.node(call.node)
      do throws(BlockError) {
        let facts = try await graph.facts(of: node, alone: true)
        return NodeInfo(facts[0], backingNode: graph.backing(of: node)?.name)
      } catch {
        throw QMPError(error)
      }
    }
    on(NodeMapQuery.self) { (call) async throws(QMPError) in
      let node = try services.node(call.node)
      do throws(BlockError) {
        return try await graph.ofPresentChain(of: node) { (chain) async throws(BlockError) in
          try await LanePool.shared.perform(on: chain.device) { () throws(BlockError) in
            try NodeMap(chain, from: call.offset, limit: call.limit)
          }.get()
        }
      } catch {
        throw QMPError(error)
      }
    }
  }
}

extension NodeMap {
  /// At most `limit` extents of what a guest sees, from `offset` on. Blocks.
  fileprivate init(_ chain: BackingChain, from offset: Int, limit: Int) throws(BlockError) {
    self.init()
    try chain.top.check(offset, 0)
    var rest = ByteRange(from: offset, to: chain.virtualSize)
    var holes = FileHoles(chain)
    // One more than asked for, because the last one may go on in what was not looked at.
    while !rest.isEmpty, extents.count <= limit {
      let runs = try chain.status(in: rest, above: chain.nodes.count, limit: limit)
      for run in runs {
        for part in run.split(atEndIn: chain) {
          for (piece, isHole) in try holes.split(part) {
            append(MapExtent(piece, isHole: isHole, chain))
          }
        }
        rest = rest.dropping(run.range.length)
      }
    }
    if extents.count > limit || !rest.isEmpty {
      extents.removeLast(max(1, extents.count - limit))
      next = extents.last.map { $0.start + $0.length } ?? offset
    }
  }

  private mutating func append(_ extent: MapExtent) {
    if let last = extents.last, last.continues(into: extent) {
      extents[extents.count - 1].length += extent.length
    } else {
      extents.append(extent)
    }
  }
}

extension ChainRun {
  /// The run in two where it begins inside its layer and ends past the layer's end. The zeros there
  /// are nobody's: `qemu-img map` tells them of the layer above.
  fileprivate func split(atEndIn chain: BackingChain) -> [ChainRun] {
    guard case .zero = content else { return [self] }
    let inside = range.intersection(ByteRange(at: 0, length: chain.nodes[layer].virtualSize))
    guard !inside.isEmpty, inside.length < range.length else { return [self] }
    var (front, back) = (self, self)
    front.range = inside
    back.range = range.dropping(inside.length)
    return [front, back]
  }
}

extension MapExtent {
  /// One run as `qemu-img map` tells it.
  fileprivate init(_ run: ChainRun, isHole: Bool, _ chain: BackingChain) {
    self.init()
    start = run.range.lower
    length = run.range.length
    depth = run.layer
    present = true
    switch run.content {
    case .data(let host):
      data = true
      zero = isHole
      offset = host
    case .zero(let reserved):
      zero = true
      offset = reserved
      if run.range.lower >= chain.nodes[run.layer].virtualSize {
        present = false
        depth = run.layer - 1
      }
    case .compressed:
      data = true
      compressed = true
    case .unallocated:
      present = false
      zero = true
      depth = chain.nodes.count - 1
    }
  }

  /// Whether `next` says the same of the bytes that follow.
  fileprivate func continues(into next: MapExtent) -> Bool {
    start + length == next.start && depth == next.depth && present == next.present
      && zero == next.zero && data == next.data && compressed == next.compressed
      && offset.map { $0 + length } == next.offset
  }
}
