import BlockCore
import BlockIO
import ImageFormats
import TestSupport
import Testing

/// Clusters that lie side by side are let go, and counted down, as one.
@Suite("letting go of runs of clusters")
struct LettingGoTests {
  private func open(_ stage: CheckStage, _ body: (Qcow2Image) throws -> Void) throws {
    let file = try HostFile.open(stage.path)
    let image = try Qcow2Image.open(on: file, readOnly: false)
    try body(image)
    try image.close()
    try file.close()
  }

  private func empty(_ image: Qcow2Image) throws {
    let emptying = try image.makeEmpty(.discard)
    while try !emptying.step() {}
  }

  @Test(
    "counts of every width go up and down, wherever a run begins and ends",
    arguments: [1, 2, 4, 8, 16, 32, 64])
  func widths(bits: Int) throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=512,refcount_bits=\(bits)", size: "2M")
    // Runs of 300, 1 and 77 clusters, with gaps whose clusters are let go first.
    try stage.io("write -P 1 0 200k", "discard 150k 3k", "discard 153k 512", "write -P 2 1M 39k")
    if bits > 1 { try stage.img("snapshot", "-c", "kept", stage.path) }
    try open(stage) { image in
      try [UInt8](repeating: 9, count: 100_000).withBytes { (bytes) throws(BlockError) in
        try image.write(bytes, at: 33 * 512, over: nil)
      }
    }
    #expect(try stage.check().isSound)
    #expect(try stage.oracle()["leaks"] == nil)
    try open(stage, empty)
    let result = try stage.check()
    #expect(result.isSound)
    #expect(result.allocatedClusters == 0)
    try stage.expectSameNumbers()
    if bits > 1 {
      try stage.img("snapshot", "-a", "kept", stage.path)
      try stage.io("read -P 1 0 150k", "read -P 1 154k 46k", "read -P 2 1M 39k")
      try stage.expectSameNumbers()
    }
  }

  @Test("what is freed goes back to the disk in slices, so that a job that is to stop does so soon")
  func slices() throws {
    let stage = try CheckStage()
    try stage.create("preallocation=metadata", size: "2G")
    let log = StorageLog()
    let storage = RecordingStorage(try HostFile.open(stage.path), log: log)
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    let start = log.entries.count
    try empty(image)
    let lengths = log.entries[start...].compactMap { entry in
      if case .discard(let range) = entry.event { range.length } else { nil }
    }
    #expect(lengths.reduce(0, +) >= 2 << 30)
    #expect(lengths.allSatisfy { $0 <= 512 << 20 })
    try image.close()
    try storage.close()
    try stage.expectSameNumbers()
  }

  /// What is wrong with one entry in the midst of a run.
  enum Wrong: String, CaseIterable { case free, table }

  @Test(
    "what is wrong in the midst of a run is told by its own place", arguments: Wrong.allCases,
    [57, 1000])
  func oneOfMany(wrong: Wrong, at entry: Int) throws {
    let stage = try CheckStage()
    // One table for each 512 MiB; there is none for the second yet.
    try stage.create("cluster_size=65536", size: "1G")
    try stage.io("write -P 1 0 64M")
    try stage.poke { image in
      let cluster = image.cluster(entry)
      switch wrong {
      case .free: image.setRefcount(0, of: cluster)
      case .table:
        image.set(1 << 63 | UInt64(cluster << 16), at: image.l1 + 8)
        let start = cluster << 16
        image.bytes.replaceSubrange(
          start..<start + 65_536, with: repeatElement(0, count: 65_536))
      }
    }
    let before = try stage.bytes()
    let error = #expect(throws: BlockError.self) { try open(stage, empty) }
    #expect(error?.code == .corrupt)
    let message = error?.message ?? ""
    #expect(message.contains("guest offset \(entry << 16)"), "\(message)")
    let after = try stage.bytes()
    #expect(after.isSame(as: before, in: ByteRange(from: 80, to: before.count)))
  }
}
