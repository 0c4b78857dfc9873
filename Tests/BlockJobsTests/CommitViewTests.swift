import BlockCore
import BlockGraph
import BlockRuntime
import ImageFormats
import TestSupport
import Testing

@testable import BlockJobs

@Suite("What a guest sees does not change")
@ControlPlane
struct CommitViewTests {
  private let stage: JobStage

  init() throws { stage = try JobStage() }

  private func bytes(_ count: Int, _ value: UInt8) -> [UInt8] {
    [UInt8](repeating: value, count: count)
  }

  @Test(
    "through an overlay that is longer than the committed layer, over a longer base",
    arguments: [2, 3])
  func shortMiddle(version: Int) async throws {
    let size = 1 << 20
    let bottom = try stage.qcow2("bottom", size: size)
    let base = try stage.qcow2("base", size: size, version: version, over: bottom)
    let middle = try stage.qcow2("middle", size: 300_032, over: base)
    let top = try stage.qcow2("top", size: size + 65_536, over: middle)
    try stage.write(bytes(size, 8), to: bottom, at: 0)
    try stage.write(bytes(size - 200_000, 9), to: base, at: 0)
    try stage.write(bytes(20_000, 1), to: middle, at: 300_032 - 20_000)
    try stage.write(bytes(20_000, 2), to: top, at: 500_000)
    let before = try stage.view(top)
    #expect(before[300_032] == 0, "nothing shows past the end of a short layer")

    #expect(await stage.end(of: try stage.commit(middle, into: base)).error == nil)
    #expect(stage.graph.chain(from: top).nodes.map(\.name) == ["top", "base", "bottom"])
    #expect(try stage.view(top) == before)
  }

  @Test("a base that grows shows zeros, not its own longer backing file", arguments: [2, 3])
  func growOverLongerBacking(version: Int) async throws {
    let bottom = try stage.qcow2("bottom", size: 1 << 20)
    let base = try stage.qcow2("base", size: 200_192, version: version, over: bottom)
    let top = try stage.qcow2("top", size: 1 << 20, over: base)
    try stage.write(bytes(1 << 20, 8), to: bottom, at: 0)
    try stage.write(bytes(70_000, 1), to: top, at: 600_000)
    let before = try stage.view(top)
    let job = try stage.commit(top, into: base) { $1.autoComplete = true }
    #expect(await stage.end(of: job).error == nil)
    #expect(base.virtualSize == 1 << 20)
    #expect(try stage.view(base) == before)
  }

  @Test("through every overlay of the committed layer")
  func twoOverlays() async throws {
    let base = try stage.qcow2("base", size: 1 << 20)
    let middle = try stage.qcow2("middle", size: 500_224, over: base)
    let left = try stage.qcow2("left", size: 700_416, over: middle)
    let right = try stage.qcow2("right", size: 1 << 20, over: middle)
    try stage.write(bytes(1 << 20, 9), to: base, at: 0)
    try stage.write(bytes(300_000, 1), to: middle, at: 100_000)
    try stage.write(bytes(5000, 2), to: left, at: 0)
    try stage.write(bytes(5000, 3), to: right, at: 900_000)
    let views = (try stage.view(left), try stage.view(right))
    #expect(await stage.end(of: try stage.commit(middle, into: base)).error == nil)
    #expect(try stage.view(left) == views.0)
    #expect(try stage.view(right) == views.1)
    for overlay in [left, right] {
      #expect(overlay.image.backingLink?.name == "/base")
      #expect(stage.graph.chain(from: overlay).nodes.last === base)
    }
    #expect(stage.graph.node(named: "middle") == nil)
  }

  @Test("in chains of random shape", arguments: 0..<60)
  func random(seed: UInt64) async throws {
    var generator = SeededGenerator(seed: seed)
    let nodes = try stage.randomChain(&generator)
    let depth = nodes.count
    let top = Int.random(in: 1..<depth, using: &generator)
    let base = Int.random(in: 0..<top, using: &generator)
    let last = nodes[depth - 1]
    let before = try stage.view(last)

    let job = try stage.commit(nodes[top], into: nodes[base]) { $1.autoComplete = true }
    #expect(await stage.end(of: job).error == nil)
    #expect(try stage.view(last) == before)
    if top == depth - 1 {
      #expect(try stage.view(nodes[base]).starts(with: before))
    } else {
      #expect(stage.graph.backing(of: nodes[top + 1]) === nodes[base])
    }
    try stage.checkSound(nodes[base])
  }
}
