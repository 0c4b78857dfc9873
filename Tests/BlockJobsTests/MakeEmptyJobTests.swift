import BlockCore
import BlockGraph
import BlockRuntime
import ImageFormats
import Testing

@testable import BlockJobs

@Suite("Make-empty")
@ControlPlane
struct MakeEmptyJobTests {
  private static let size = 4 << 20
  private let stage: JobStage
  private let base: BlockNode
  private let top: BlockNode

  init() throws {
    stage = try JobStage()
    base = try stage.qcow2("base", size: Self.size - 300_032)
    top = try stage.qcow2("top", size: Self.size, over: base)
    try stage.write([UInt8](repeating: 7, count: 2 << 20), to: base, at: 0)
  }

  private func start(force: Bool = false, _ mode: EmptyMode = .auto) throws -> Job {
    let chain = stage.graph.chain(from: top)
    return try stage.registry.start(JobOptions(id: "e0")) { () throws(BlockError) in
      try MakeEmptyJob(
        chain, mode: mode, force: force, id: "e0", graph: stage.graph,
        memory: stage.registry.commits)
    }
  }

  private var isEmpty: Bool {
    get throws {
      let all = ByteRange(at: 0, length: Self.size)
      return try top.mappings(in: all, limit: 64).allSatisfy { $0.content == .unallocated }
    }
  }

  @Test("what is underneath as well can be emptied", arguments: [EmptyMode.reset, .discard])
  func same(mode: EmptyMode) async throws {
    try stage.write([UInt8](repeating: 7, count: 100_000), to: top, at: 500_000)
    try top.writeZeroes(
      ByteRange(at: Self.size - 200_000, length: 200_000), deallocate: true,
      over: stage.graph.chain(from: top).view(from: 1))
    let before = try stage.view(top)
    let end = await stage.end(of: try start(mode))
    #expect(end.error == nil)
    #expect(end.currentProgress == end.totalProgress)
    #expect(try isEmpty)
    #expect(try stage.view(top) == before)
  }

  @Test(
    "what is not is refused, and stays",
    arguments: [0, 500_001, (4 << 20) - 1])
  func different(offset: Int) async throws {
    try stage.write([9], to: top, at: offset)
    let before = try stage.view(top)
    let end = await stage.end(of: try start())
    #expect(end.failure?.code == .invalidArgument)
    #expect(end.failure?.guestOffset == offset && end.failure?.offset == nil)
    #expect(try stage.view(top) == before)
    #expect(try !isEmpty)
  }

  @Test("zeros over data are a difference, too")
  func zeros() async throws {
    try top.writeZeroes(
      ByteRange(at: 65_536, length: 65_536), deallocate: true,
      over: stage.graph.chain(from: top).view(from: 1))
    #expect(await stage.end(of: try start()).failure?.guestOffset == 65_536)
  }

  @Test("forced, it is emptied whatever it holds")
  func force() async throws {
    try stage.write([9], to: top, at: 0)
    #expect(await stage.end(of: try start(force: true)).error == nil)
    #expect(try isEmpty)
  }

  @Test("after a commit by us nothing is compared, unless something was written since")
  func afterCommit() async throws {
    try stage.write([UInt8](repeating: 9, count: 300_000), to: top, at: 0)
    let job = try stage.commit(top, into: base) { $1.autoComplete = true }
    await stage.end(of: job)
    let (chain, memory) = (stage.graph.chain(from: top), stage.registry.commits)
    #expect(memory.holds(chain))
    try stage.write([1], to: top, at: 100)
    #expect(!memory.holds(chain))
    #expect(await stage.end(of: try start()).failure?.guestOffset == 100)
  }

  @Test("another node under the base counts as well: zeros that it showed were not written")
  func baseMoved() async throws {
    try stage.write([UInt8](repeating: 0, count: 65_536), to: top, at: 3 << 20)
    await stage.end(of: try stage.commit(top, into: base) { $1.autoComplete = true })
    let other = try stage.qcow2("other", size: base.virtualSize)
    try stage.write([7], to: other, at: 3 << 20)
    stage.graph.setBacking(of: base, to: other)
    #expect(!stage.registry.commits.holds(stage.graph.chain(from: top)))
    #expect(await stage.end(of: try start()).failure?.guestOffset == 3 << 20)
  }

  @Test("a write to the base after the commit counts as well")
  func baseWritten() async throws {
    try stage.write([UInt8](repeating: 9, count: 300_000), to: top, at: 0)
    await stage.end(of: try stage.commit(top, into: base) { $1.autoComplete = true })
    try stage.write([1], to: base, at: 7)
    #expect(await stage.end(of: try start()).failure?.guestOffset == 7)
  }

  @Test("a raw image cannot be emptied, whatever on-error says")
  func raw() async throws {
    let raw = try stage.raw("raw", size: 1 << 20)
    var options = JobOptions(id: "e0")
    options.onError = .ignore
    let job = try stage.registry.start(options) { () throws(BlockError) in
      try MakeEmptyJob(
        BackingChain([raw]), mode: .auto, force: true, id: "e0", graph: stage.graph,
        memory: stage.registry.commits)
    }
    #expect(await stage.end(of: job).failure?.code == .unsupported)
  }
}
