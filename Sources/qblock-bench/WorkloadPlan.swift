/// The writes that make the overlay of a workload; the same on every machine and every day.
///
/// Isolation: value.
struct WorkloadPlan {
  /// The clusters of the images, in bytes.
  static let clusterSize = 64 << 10
  /// The most layers over a base.
  static let mostLayers = 10
  /// The bytes of a guest that one L2 table of such clusters describes.
  private static let tableReach = clusterSize / 8 * clusterSize

  let workload: Workload
  /// What a guest sees, in bytes.
  let virtualSize: Int
  /// The images, each over the one before; none where a workload needs none.
  var files: [WorkDirectory.File] {
    switch workload {
    case .start: []
    case .check: [.base]
    case .chain: [.base] + (1..<Self.mostLayers).map { .layer($0) } + [.overlay]
    case .intermediate: [.base, .layer(1), .overlay]
    case .contiguous, .random, .scattered, .zlib, .zstd, .zeros, .zerosOverData, .raw,
      .questions, .empty, .emptyLarge, .emptyDiscard:
      [.base, .overlay]
    }
  }
  /// Whether the images are changed by a run.
  var changesImages: Bool { files.count > 1 && questions == 0 }
  /// Whether the base shows after a run what the overlay showed.
  var commits: Bool { changesImages && !empties }
  /// Whether the overlay is emptied, and nothing else done.
  var empties: Bool { [.empty, .emptyLarge, .emptyDiscard].contains(workload) }
  /// Whether the overlay is emptied after its commit.
  var emptiesCommitted: Bool { commits && ![.chain, .intermediate].contains(workload) }
  /// The image whose tables describe all of the disk from the beginning, though it holds no bytes.
  var preallocated: WorkDirectory.File? {
    switch workload {
    case .check: .base
    case .emptyLarge, .emptyDiscard: .overlay
    default: nil
    }
  }
  /// Whether the overlay of each run is given the bytes that its tables describe. Where there is no
  /// room for them it stays without.
  var isFilled = false
  /// The bytes that filling takes; 0 where a workload is not filled.
  var fillBytes: Int { workload == .emptyLarge ? virtualSize : 0 }
  /// The format of the base.
  var baseFormat: String { workload == .raw ? "raw" : "qcow2" }
  /// By what the overlay's clusters are compressed; nil where they are written as they are.
  var compression: String? {
    [.zlib, .zstd].contains(workload) ? workload.rawValue : nil
  }
  /// How often a client asks each question.
  let questions: Int
  /// The length of each write in bytes.
  let writeLength: Int
  /// Where each write begins, in the order in which they are made.
  let offsets: [Int]

  /// The writes of `workload`, `scale` times fewer than it says.
  init(_ workload: Workload, scale: Int) {
    self.workload = workload
    questions = workload == .questions ? 5_000 / scale : 0
    switch workload {
    case .contiguous, .zeros, .zerosOverData, .intermediate:
      writeLength = 2 << 20
      offsets = (0..<1024 / scale).map { $0 * (2 << 20) }
      virtualSize = offsets.count * writeLength
    case .zlib, .zstd, .empty:
      writeLength = 2 << 20
      offsets = (0..<max(1, 512 / scale)).map { $0 * (2 << 20) }
      virtualSize = offsets.count * writeLength
    case .raw:
      writeLength = 1 << 20
      offsets = (0..<2048 / scale).map { $0 * (2 << 20) }
      virtualSize = offsets.count * 2 * writeLength
    case .chain:
      writeLength = Self.clusterSize
      offsets = (0..<max(Self.mostLayers, 16_000 / scale)).map { $0 * Self.clusterSize }
      virtualSize = offsets.count * writeLength
    case .check:
      writeLength = Self.clusterSize
      offsets = []
      virtualSize = (1 << 20) / scale * Self.clusterSize
    case .emptyLarge, .emptyDiscard:
      writeLength = Self.clusterSize
      offsets = []
      virtualSize = (workload == .emptyLarge ? 16 << 30 : 256 << 30) / scale
    case .start:
      (writeLength, offsets, virtualSize) = (0, [], 0)
    case .questions:
      (writeLength, offsets, virtualSize) = (Self.clusterSize, [0], Self.clusterSize)
    case .random:
      writeLength = Self.clusterSize
      virtualSize = 64 << 30
      offsets = Self.scatter(60_000 / scale, of: writeLength, in: virtualSize)
    case .scattered:
      writeLength = 4 << 10
      virtualSize = 8 << 40
      offsets = Self.scatter(16_384 / scale, of: writeLength, in: virtualSize)
    }
  }

  /// The bytes that are written.
  var dataBytes: Int { offsets.count * writeLength }

  /// The most bytes that an image with this data takes: whole clusters, and a whole L2 table
  /// wherever there is one.
  var footprint: Int {
    let clusters = offsets.count * max(1, writeLength / Self.clusterSize)
    let tables = min(offsets.count, virtualSize / Self.tableReach + 1)
    // L1, refcounts and header together.
    let rest = 4 << 20
    return (clusters + tables) * Self.clusterSize + rest
  }

  /// The least that the overlay takes.
  var leastOverlayBytes: Int {
    switch workload {
    case .zeros, .zerosOverData, .intermediate, .check, .start, .questions, .emptyLarge,
      .emptyDiscard:
      0
    case .chain: dataBytes / Self.mostLayers
    // Compressed to a tenth it would be no text.
    case .zlib, .zstd: dataBytes / 10
    case .contiguous, .random, .scattered, .raw, .empty: dataBytes
    }
  }

  /// The writes to `file` as commands of `qemu-io`, a line each; no two neighbours hold the same
  /// byte.
  func commands(for file: WorkDirectory.File) -> [String] {
    switch (workload, file) {
    case (.zeros, .overlay), (.zerosOverData, .overlay):
      offsets.enumerated().map { (index, offset) in
        (index.isMultiple(of: 2) ? "write -q -z -u" : "discard -q") + " \(offset) \(writeLength)\n"
      }
    case (.zerosOverData, .base), (.intermediate, .layer(1)): writes(of: pattern)
    case (.intermediate, _), (_, .base): []
    case (.chain, _):
      writes { index in
        index % Self.mostLayers == (files.firstIndex(of: file) ?? 1) - 1 ? pattern(index) : nil
      }
    default: writes(of: pattern)
    }
  }

  private func pattern(_ index: Int) -> String { "-P \(index % 255 + 1)" }

  private func writes(of what: (_ index: Int) -> String?) -> [String] {
    offsets.enumerated().compactMap { (index, offset) in
      what(index).map { "write -q \($0) \(offset) \(writeLength)\n" }
    }
  }

  private static func scatter(_ count: Int, of length: Int, in size: Int) -> [Int] {
    var generator = SplitMixGenerator(seed: 1)
    var seen: Set<Int> = []
    var offsets: [Int] = []
    while offsets.count < count {
      let offset = Int.random(in: 0..<size / length, using: &generator) * length
      if seen.insert(offset).inserted { offsets.append(offset) }
    }
    return offsets
  }
}
