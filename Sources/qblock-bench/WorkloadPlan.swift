/// The writes that make the overlay of a workload; the same on every machine and every day.
///
/// Isolation: value.
struct WorkloadPlan {
  /// The clusters of the images, in bytes.
  static let clusterSize = 64 << 10
  /// The bytes of a guest that one L2 table of such clusters describes.
  private static let tableReach = clusterSize / 8 * clusterSize

  let workload: Workload
  /// What a guest sees, in bytes.
  let virtualSize: Int
  /// The format of the base.
  var baseFormat: String { workload == .raw ? "raw" : "qcow2" }
  /// By what the overlay's clusters are compressed; nil where they are written as they are.
  var compression: String? {
    [.zlib, .zstd].contains(workload) ? workload.rawValue : nil
  }
  /// The length of each write in bytes.
  let writeLength: Int
  /// Where each write begins, in the order in which they are made.
  let offsets: [Int]

  /// The writes of `workload`, `scale` times fewer than it says.
  init(_ workload: Workload, scale: Int) {
    self.workload = workload
    switch workload {
    case .contiguous, .zeros:
      writeLength = 2 << 20
      offsets = (0..<1024 / scale).map { $0 * (2 << 20) }
      virtualSize = offsets.count * writeLength
    case .zlib, .zstd:
      writeLength = 2 << 20
      offsets = (0..<max(1, 512 / scale)).map { $0 * (2 << 20) }
      virtualSize = offsets.count * writeLength
    case .raw:
      writeLength = 1 << 20
      offsets = (0..<2048 / scale).map { $0 * (2 << 20) }
      virtualSize = offsets.count * 2 * writeLength
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
    case .zeros: 0
    // Compressed to a tenth it would be no text.
    case .zlib, .zstd: dataBytes / 10
    case .contiguous, .random, .scattered, .raw: dataBytes
    }
  }

  /// The writes to the overlay as commands of `qemu-io`; no two neighbours hold the same byte.
  var commands: String {
    workload == .zeros ? lines { (_, range) in "write -q -z -u \(range)" } : data
  }

  /// The writes to the base, where it holds something.
  var baseCommands: String { workload == .zeros ? data : "" }

  private var data: String { lines { (index, range) in "write -q -P \(index % 255 + 1) \(range)" } }

  private func lines(_ command: (_ index: Int, _ range: String) -> String) -> String {
    offsets.enumerated().map { command($0, "\($1) \(writeLength)") + "\n" }.joined()
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
