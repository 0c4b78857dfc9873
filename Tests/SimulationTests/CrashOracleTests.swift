import BlockCore
import CrashSimulation
import ImageFormats
import TestSupport
import Testing

/// States made by hand, so that the oracle is seen to fail.
@Suite("The oracle of power loss")
struct CrashOracleTests {
  /// What a snapshot is not to lose.
  enum Loss: String, CaseIterable {
    case byte = "a byte of its data"
    case entry = "where an L2 entry points"
    case data = "an L2 entry"
    case zeros = "data, for zeros"
    case hole = "a hole"
    case table = "where an L1 entry points"
    case name = "its name"
    case all = "its place in the snapshot table"
  }

  /// A scene whose top has a snapshot with which it shares nothing any more; all of it is durable.
  private func scene() throws -> CrashScene {
    let scene = CrashScene(try CrashLayout(512, .snapshot).build())
    let image = try scene.open(scene.names.count - 1)
    let bytes = [UInt8](repeating: 0x5a, count: image.virtualSize)
    try bytes.withBytes { (span) throws(BlockError) in
      try image.write(span, at: 0, over: BytesView([]))
    }
    try image.flush()
    scene.expect(CrashExpectation(views: [scene.top: [try scene.view(scene.top)]]))
    return scene
  }

  @Test("a snapshot that has lost something is a bad view", arguments: Loss.allCases)
  func snapshots(loss: Loss) throws {
    let scene = try scene()
    let expected = try #require(scene.expectation(at: scene.log.entries.count))
    var images = try scene.oracle.images
    let proof = CrashProof()
    for _ in 0..<2 { try CrashOracle(scene.names, images, proof).judge(expected) }

    let top = images.count - 1
    try SnapshotTables(images[top]).lose(loss, in: &images[top])
    let fault = #expect(throws: CrashOracle.Fault.self) {
      try CrashOracle(scene.names, images, proof).judge(expected)
    }
    let words = try #require(fault).description
    #expect(words.hasPrefix("bad view: top: ") && words.contains("snapshot"), "\(words)")
  }

  @Test("a snapshot of an image that nobody needs, or that is made anew, may go")
  func unneeded() throws {
    let scene = try scene()
    let images = try scene.oracle.images.map { image in
      var image = image
      // No snapshots, so that those of the top are leaks.
      image.write([0, 0, 0, 0], at: 60)
      return image
    }
    var expected = CrashExpectation(views: [:])
    scene.expect(expected)
    let judged = try #require(scene.expectation(at: scene.log.entries.count))
    #expect(throws: CrashOracle.Fault.self) {
      try CrashOracle(scene.names, images).judge(judged)
    }
    expected.unneeded = [scene.top]
    scene.expect(expected)
    try CrashOracle(scene.names, images)
      .judge(try #require(scene.expectation(at: scene.log.entries.count)))
    expected.unneeded = []
    expected.anew = [scene.top]
    scene.expect(expected)
    try CrashOracle(scene.names, images)
      .judge(try #require(scene.expectation(at: scene.log.entries.count)))
  }
}

/// Where the tables of an image's first snapshot lie.
///
/// Isolation: value.
private struct SnapshotTables {
  /// Its entry of the snapshot table.
  var entry: Int
  /// The L1 entry for its first L2 table, and that table.
  var l1: Int
  var l2: Int
  /// The places of two L2 entries for data, and of one that is a hole.
  var data: [Int]
  var hole: Int

  init(_ image: CrashImage) throws {
    let clusterSize = 1 << Int(image.number(at: 20, width: 4))
    entry = Int(image.number(at: 64, width: 8))
    let table = Int(image.number(at: entry, width: 8))
    let words = (0..<Int(image.number(at: entry + 8, width: 4))).map { table + $0 * 8 }
    l1 = try #require(words.first { image.number(at: $0, width: 8) != 0 })
    l2 = Int(image.number(at: l1, width: 8) & 0x00ff_ffff_ffff_fe00)
    let places = Array(stride(from: l2, to: l2 + clusterSize, by: 8))
    data = places.filter { image.number(at: $0, width: 8) != 0 }
    hole = try #require(places.first { image.number(at: $0, width: 8) == 0 })
    try #require(data.count >= 2)
  }

  /// Takes `loss` from the snapshot.
  func lose(_ loss: CrashOracleTests.Loss, in image: inout CrashImage) {
    func set(_ word: UInt64, at offset: Int) {
      var bytes = [UInt8](repeating: 0, count: 8)
      bytes.withMutableBytes { $0.setBigEndian(word, at: 0) }
      image.write(bytes[...], at: offset)
    }
    let other = image.number(at: data[1], width: 8)
    switch loss {
    case .byte:
      let offset = Int(image.number(at: data[0], width: 8) & 0x00ff_ffff_ffff_fe00) + 300
      image.write([image[offset] ^ 1], at: offset)
    case .entry: set(other, at: data[0])
    case .data: set(0, at: data[0])
    case .zeros: set(1, at: data[0])
    case .hole: set(other, at: hole)
    // To the first L2 table of the disk.
    case .table: set(image.number(at: Int(image.number(at: 40, width: 8)), width: 8), at: l1)
    case .name:
      let extra = Int(image.number(at: entry + 36, width: 4))
      let idLength = Int(image.number(at: entry + 12, width: 2))
      image.write([0x21], at: entry + 40 + extra + idLength)
    case .all: image.write([0, 0, 0, 0], at: 60)
    }
  }
}
