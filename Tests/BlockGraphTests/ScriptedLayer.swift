import BlockCore
import BlockIO
import ImageFormats
import Synchronization
import TestSupport

/// A sparse image in memory, cluster by cluster: what a format driver is to a chain, without a
/// format. Clusters that hold data lie in the order of their first write.
///
/// Isolation: any thread; state behind `state`.
final class ScriptedLayer: ImageDriver {
  enum Cluster: Equatable { case unallocated, zero, data(Int), compressed(Int) }

  let format = "scripted"
  let clusterSize: Int
  let hasZeroFlag = true
  let dataStorage: any Storage
  /// How many runs one lookup tells at most, whatever the caller would take.
  let runsPerLookup: Int
  private let state: Mutex<State>

  private struct State {
    var size: Int
    var clusters: [Cluster]
    var isReadOnly = false
    var allocated = 0
    var flushes = 0
    var hasDeallocated = false
    var backing: BackingLink?
  }

  init(size: Int, clusterSize: Int, storage: any Storage, runsPerLookup: Int = .max) {
    self.clusterSize = clusterSize
    self.runsPerLookup = runsPerLookup
    dataStorage = storage
    let count = size.dividedRoundingUp(by: clusterSize)
    state = Mutex(State(size: size, clusters: Array(repeating: .unallocated, count: count)))
  }

  var virtualSize: Int { state.withLock { $0.size } }
  var isReadOnly: Bool { state.withLock { $0.isReadOnly } }
  var isDamaged: Bool { false }
  var backingLink: BackingLink? { state.withLock { $0.backing } }
  var flushes: Int { state.withLock { $0.flushes } }
  /// Whether zeros were to give space back.
  var hasDeallocated: Bool { state.withLock { $0.hasDeallocated } }

  /// Makes cluster `index` what `content` says; data and compressed ones hold `bytes`.
  func script(_ index: Int, _ content: Cluster, _ bytes: [UInt8] = []) throws(BlockError) {
    let host = state.withLock { state in
      state.allocated += 1
      return (state.allocated - 1) * clusterSize
    }
    let cluster: Cluster =
      switch content {
      case .data: .data(host)
      case .compressed: .compressed(host)
      case .unallocated, .zero: content
      }
    try bytes.withBytes { (span) throws(BlockError) in try dataStorage.write(span, at: host) }
    state.withLock { $0.clusters[index] = cluster }
  }

  func mappings(in range: ByteRange, limit: Int) throws(BlockError) -> [ImageMapping] {
    var found: [ImageMapping] = []
    var rest = range
    while !rest.isEmpty {
      let index = rest.lower / clusterSize
      let part = rest.prefix(clusterSize - rest.lower % clusterSize)
      let within = rest.lower % clusterSize
      let content: ImageContent =
        switch state.withLock({ $0.clusters[index] }) {
        case .unallocated: .unallocated
        case .zero: .zero(reservedAt: nil)
        case .data(let host): .data(at: host + within)
        case .compressed: .compressed
        }
      let before = found.count
      ImageMapping.append(ImageMapping(range: part, content: content), to: &found)
      if found.count > before && before == min(limit, runsPerLookup) {
        found.removeLast()
        break
      }
      rest = rest.dropping(part.length)
    }
    return found
  }

  func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) {
    var at = offset
    while at < offset + bytes.byteCount {
      let within = at % clusterSize
      let end = min(at - within + clusterSize, offset + bytes.byteCount)
      try bytes.withPart(at - offset..<end - offset) { (part) throws(BlockError) in
        switch state.withLock({ $0.clusters[at / clusterSize] }) {
        case .data(let host), .compressed(let host):
          _ = try dataStorage.read(into: &part, at: host + within)
        case .zero: part.zero()
        case .unallocated: preconditionFailure("a driver is not asked for what it does not hold")
        }
      }
      at = end
    }
  }

  func write(
    _ range: ByteRange, over backing: (any BackingView)?, filling fill: WriteFiller
  ) throws(BlockError) {
    let scratch = MemoryStorage(size: range.length)
    try fill(range, scratch, 0)
    var bytes = [UInt8](repeating: 0, count: range.length)
    _ = try bytes.withMutableBytes { (span) throws(BlockError) in
      try scratch.read(into: &span, at: 0)
    }
    try bytes.withBytes { (span) throws(BlockError) in
      try store(span, at: range.lower, over: backing)
    }
  }

  private func store(
    _ bytes: RawSpan, at offset: Int, over backing: (any BackingView)?
  ) throws(BlockError) {
    var done = 0
    while done < bytes.byteCount {
      let index = (offset + done) / clusterSize
      let within = (offset + done) % clusterSize
      let length = min(clusterSize - within, bytes.byteCount - done)
      var cluster = [UInt8](repeating: 0, count: clusterSize)
      try cluster.withMutableBytes { (span) throws(BlockError) in
        switch state.withLock({ $0.clusters[index] }) {
        case .unallocated: try backing?.read(into: &span, at: index * clusterSize)
        case .zero: break
        case .data(let host), .compressed(let host): try dataStorage.read(into: &span, at: host)
        }
        for at in 0..<length {
          span.storeBytes(of: bytes.byte(at: done + at), toByteOffset: within + at, as: UInt8.self)
        }
      }
      try script(index, .data(0), cluster)
      done += length
    }
  }

  func writeZeroes(
    _ range: ByteRange, deallocate: Bool, over backing: (any BackingView)?
  ) throws(BlockError) {
    if deallocate { state.withLock { $0.hasDeallocated = true } }
    let whole = range.narrowed(to: clusterSize)
    for index in whole.lower / clusterSize..<whole.upper / clusterSize {
      try script(index, .zero)
    }
    for edge in [
      ByteRange(from: range.lower, to: min(whole.lower, range.upper)),
      ByteRange(from: max(whole.upper, range.lower), to: max(range.upper, whole.upper)),
    ]
    where !edge.isEmpty && edge != whole {
      try [UInt8](repeating: 0, count: edge.length).withBytes { (span) throws(BlockError) in
        try write(span, at: edge.lower, over: backing)
      }
    }
  }

  func discard(_ range: ByteRange, _ mode: DiscardMode) throws(BlockError) {
    let whole = range.narrowed(to: clusterSize)
    for index in whole.lower / clusterSize..<whole.upper / clusterSize {
      try script(index, mode == .fallsThrough ? .unallocated : .zero)
    }
  }

  func flush() throws(BlockError) { state.withLock { $0.flushes += 1 } }

  func resize(to size: Int, over backing: (any BackingView)?) throws(BlockError) {
    state.withLock { state in
      state.size = size
      let count = size.dividedRoundingUp(by: clusterSize)
      while state.clusters.count < count { state.clusters.append(.zero) }
    }
  }

  func makeEmpty(_ mode: EmptyMode) throws(BlockError) -> any ImageOperation {
    Emptying(self)
  }
  func checkBackingLink(_ link: BackingLink?) throws(BlockError) {}
  func setBackingLink(_ link: BackingLink?) throws(BlockError) {
    state.withLock { $0.backing = link }
  }
  func reopen(readOnly: Bool) throws(BlockError) {
    state.withLock { $0.isReadOnly = readOnly }
  }
  func close() throws(BlockError) {}
  func info() throws(BlockError) -> ImageInfo {
    ImageInfo(
      format: format, virtualSize: virtualSize, clusterSize: clusterSize, backing: backingLink)
  }

  /// Empties one cluster a step.
  private final class Emptying: ImageOperation {
    let layer: ScriptedLayer
    let done = Atomic<Int>(0)
    init(_ layer: ScriptedLayer) { self.layer = layer }
    var total: Int { layer.virtualSize.dividedRoundingUp(by: layer.clusterSize) }
    var progress: (done: Int, total: Int) { (done.load(ordering: .relaxed), total) }
    var isPastNoReturn: Bool { false }
    func step() throws(BlockError) -> Bool {
      let index = done.add(1, ordering: .relaxed).oldValue
      try layer.script(index, .unallocated)
      return index + 1 == total
    }
  }
}
