package import BlockCore
package import BlockRuntime
package import ImageFormats

/// A node and what lies under it: the layers that a guest sees as one disk, the top first.
///
/// A snapshot: edges that change later do not change it. This is the only place that walks layers;
/// a format answers for its own alone.
///
/// Locks are taken downwards only: whoever holds a range of a layer may ask for ranges of layers
/// below it, never above.
///
/// Isolation: value; its calls block and belong on lanes.
package struct BackingChain: Sendable {
  /// The layers; `nodes[0]` is the top. Never empty.
  package let nodes: [BlockNode]

  /// The chain of these layers, the top first; at least one.
  package init(_ nodes: [BlockNode]) {
    precondition(!nodes.isEmpty, "a chain has a top")
    self.nodes = nodes
  }

  /// The layer that the guest uses.
  package var top: BlockNode { nodes[0] }
  /// The lanes of steps that may ask every layer.
  package var device: DeviceKey { DeviceKey(joining: nodes.map(\.device)) }
  /// The guest disk's length in bytes.
  package var virtualSize: Int { top.virtualSize }

  /// Fills `bytes` with what the guest sees from `offset` on. A layer that is shorter than what
  /// lies on it reads zero past its end, whatever lies below. Throws `outOfRange` past the disk's
  /// end.
  package func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) {
    try top.check(offset, bytes.byteCount)
    try read(into: &bytes, at: offset, layer: 0)
  }

  /// Writes `bytes` to the top layer.
  package func write(_ bytes: RawSpan, at offset: Int) throws(BlockError) {
    try top.write(bytes, at: offset, over: view(from: 1))
  }

  /// Writes `range` of the top layer, whose bytes `fill` brings to where they are to lie.
  package func write(_ range: ByteRange, filling fill: WriteFiller) throws(BlockError) {
    try top.write(range, over: view(from: 1), filling: fill)
  }

  /// Writes pieces of `bytes`, which do not overlap, to the top layer.
  package func write(_ pieces: [GuestPiece], of bytes: RawSpan) throws(BlockError) {
    try top.write(pieces, of: bytes, over: view(from: 1))
  }

  /// Makes `range` read zero through the top layer.
  package func writeZeroes(_ range: ByteRange, deallocate: Bool) throws(BlockError) {
    try top.writeZeroes(range, deallocate: deallocate, over: view(from: 1))
  }

  /// Makes durable what `nodes[index...]` show, whoever has written it: what another program has
  /// not flushed, or a job here that was cancelled, may show through an image that is about to be
  /// relied on. Lane.
  ///
  /// Crash: before it returns some of that may be as it was before; after it, nothing is. Tests:
  /// `CommitOrderTests`, `CrashSmokeTests` (commit over what is not flushed).
  package func makeDurable(from index: Int) throws(BlockError) {
    for node in nodes[index...] { try node.makeDurable() }
  }

  /// What lies at `nodes[index...]`; nil where nothing does.
  package func view(from index: Int) -> (any BackingView)? {
    index < nodes.count ? ChainView(chain: self, first: index) : nil
  }

  /// Where the bytes of `range` live in the layers above `base` (an index in `nodes`, or
  /// `nodes.count` for the whole chain): in order, without gaps, neighbours of one kind merged.
  ///
  /// What no layer above `base` holds is `unallocated` with `layer == base`; where a layer ends
  /// before the range does, the rest is zero and belongs to that layer, because the bytes below
  /// it do not show there.
  ///
  /// Asks the layers for about `limit` runs in all, so that the time is bounded, and may so cover
  /// only the front of `range`, but never nothing. `range` lies inside the disk and is not empty.
  package func status(
    in range: ByteRange, above base: Int, limit: Int
  ) throws(BlockError) -> [ChainRun] {
    precondition(base > 0 && base <= nodes.count && !range.isEmpty)
    try top.check(range.lower, range.length)
    var walk = ChainWalk(nodes: nodes, base: base, budget: max(limit, 1))
    _ = try walk.visit(range, layer: 0)
    return walk.runs
  }

  /// Reads through the layers from `layer` down.
  fileprivate func read(
    into bytes: inout MutableRawSpan, at offset: Int, layer: Int
  ) throws(BlockError) {
    guard layer < nodes.count else { return bytes.zero() }
    let node = nodes[layer]
    let wanted = ByteRange(at: offset, length: bytes.byteCount)
    let inside = wanted.intersection(ByteRange(at: 0, length: node.virtualSize))
    bytes.withPart(inside.length..<bytes.byteCount) { $0.zero() }
    guard !inside.isEmpty else { return }
    try bytes.withPart(0..<inside.length) { (part) throws(BlockError) in
      try node.read(into: &part, at: offset) { (hole, at) throws(BlockError) in
        try read(into: &hole, at: at, layer: layer + 1)
      }
    }
  }
}

/// Where a run of guest bytes lives in a chain.
///
/// Isolation: value.
package struct ChainRun: Hashable, Sendable {
  /// The guest bytes.
  package var range: ByteRange
  /// The index in the chain of the layer that decides: it holds the bytes, or the zeros. The base
  /// where no layer above it holds anything.
  package var layer: Int
  /// What that layer holds; `unallocated` only for the base.
  package var content: ImageContent

  package init(range: ByteRange, layer: Int, content: ImageContent) {
    self.range = range
    self.layer = layer
    self.content = content
  }
}

/// One walk through the layers of a chain, the state of `BackingChain.status`.
///
/// Isolation: value.
private struct ChainWalk {
  let nodes: [BlockNode]
  let base: Int
  /// Runs that layers may still be asked for.
  var budget: Int
  var runs: [ChainRun] = []

  /// Appends what `range` holds as seen from `layer` down. Returns whether all of it is covered.
  mutating func visit(_ range: ByteRange, layer: Int) throws(BlockError) -> Bool {
    guard layer < base else {
      append(ChainRun(range: range, layer: base, content: .unallocated))
      return true
    }
    let node = nodes[layer]
    let inside = range.intersection(ByteRange(at: 0, length: node.virtualSize))
    if !inside.isEmpty {
      guard try visitMappings(of: node, in: inside, layer: layer) else { return false }
    }
    let past = range.dropping(inside.length)
    if !past.isEmpty {
      append(ChainRun(range: past, layer: layer, content: .zero(reservedAt: nil)))
    }
    return true
  }

  /// The part of `visit` that lies inside the layer. The first descent to a run is always made,
  /// whatever the budget, so that each call gets on.
  private mutating func visitMappings(
    of node: BlockNode, in inside: ByteRange, layer: Int
  ) throws(BlockError) -> Bool {
    var rest = inside
    while !rest.isEmpty {
      guard budget > 0 || runs.isEmpty else { return false }
      // Half of what is left: the layers below need some too, or the walk would end at the first
      // hole and most of the answer would be thrown away.
      let mappings = try node.mappings(in: rest, limit: max(budget / 2, 1))
      budget -= mappings.count
      for mapping in mappings {
        if mapping.content == .unallocated {
          guard layer + 1 == base || budget > 0 || runs.isEmpty else { return false }
          guard try visit(mapping.range, layer: layer + 1) else { return false }
        } else {
          append(ChainRun(range: mapping.range, layer: layer, content: mapping.content))
        }
        rest = rest.dropping(mapping.range.length)
      }
    }
    return true
  }

  /// Appends `run`, merged with the one before it where it continues it.
  private mutating func append(_ run: ChainRun) {
    if let last = runs.last, last.layer == run.layer,
      last.content.continues(into: run.content, after: last.range.length)
    {
      runs[runs.count - 1].range.length += run.range.length
    } else {
      runs.append(run)
    }
  }
}

/// The lower part of a chain, as the bytes under a layer.
///
/// Isolation: value; any thread.
private struct ChainView: BackingView {
  /// Runs looked at before `readsZero` gives up: enough for a cluster of any size.
  private static let zeroCheckRuns = 64

  let chain: BackingChain
  let first: Int

  func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) {
    try chain.read(into: &bytes, at: offset, layer: first)
  }

  func readsZero(_ range: ByteRange) throws(BlockError) -> Bool {
    guard !range.isEmpty else { return true }
    let layers = chain.nodes.count
    var walk = ChainWalk(nodes: chain.nodes, base: layers, budget: ChainView.zeroCheckRuns)
    guard try walk.visit(range, layer: first) else { return false }
    return walk.runs.allSatisfy { run in
      switch run.content {
      case .unallocated, .zero: true
      case .data, .compressed: false
      }
    }
  }
}
