import BlockCore
import BlockGraph
import BlockIO
import BlockRuntime
import ImageFormats
import TestSupport
import Testing

@testable import BlockJobs

@Suite("Commits when a flush fails")
@ControlPlane
struct PoisonedCommitTests {
  private let stage: JobStage
  private let base = MemoryStorage(name: "base")
  private let top = MemoryStorage(name: "top")

  init() throws { stage = try JobStage() }

  private func openBase(_ format: String, on storage: any Storage, in stage: JobStage) throws
    -> BlockNode
  {
    stage.add(
      "base",
      format == "raw"
        ? try RawImage.open(on: storage, readOnly: false)
        : try Qcow2Image.open(on: storage, readOnly: false))
  }

  private func makeBase(_ format: String, on storage: any Storage) throws -> BlockNode {
    if format == "raw" {
      try base.truncate(to: 1 << 20)
    } else {
      try Qcow2Create.create(Qcow2CreateOptions(size: 1 << 20), on: base)
    }
    return try openBase(format, on: storage, in: stage)
  }

  /// How a commit ends that must not succeed.
  private func failure(
    _ node: BlockNode, into base: BlockNode, _ policy: ErrorPolicy = .report, emptied: Bool = false
  ) async throws -> BlockError? {
    let job = try stage.commit(node, into: base) { request, options in
      request.emptiesTop = emptied
      options.onError = policy
      options.autoComplete = true
    }
    let end = await stage.end(of: job)
    #expect(!stage.log.contains("COMPLETED"))
    return end.failure
  }

  @Test(
    "a base that cannot be flushed fails the job at once, and every later one until it is reopened",
    arguments: ["qcow2", "raw"], ErrorPolicy.allCases)
  func base(format: String, policy: ErrorPolicy) async throws {
    let disk = FaultyStorage(base)
    let baseNode = try makeBase(format, on: disk)
    let topNode = try stage.qcow2("top", size: 1 << 20, over: baseNode, on: top)
    try stage.write([UInt8](repeating: 9, count: 300_000), to: topNode, at: 100_000)
    try topNode.flush()
    let before = try stage.view(topNode)

    disk.set(.init(.flush))
    let first = try await failure(topNode, into: baseNode, policy)
    #expect(first?.errno == 5 && first?.message == "Input/output error")
    let second = try await failure(topNode, into: baseNode, policy)
    #expect(second?.errno == 5 && second?.code == .poisoned)
    #expect(throws: BlockError.self) { try baseNode.flush() }
    #expect(try stage.view(topNode) == before)

    let stage = try JobStage()
    let anew = try openBase(format, on: base, in: stage)
    let over = stage.add("top", try Qcow2Image.open(on: top, readOnly: false), over: anew)
    let job = try stage.commit(over, into: anew) { _, options in options.autoComplete = true }
    #expect(await stage.end(of: job).error == nil)
    #expect(try stage.view(anew) == before)
  }

  @Test("at the end a flush that failed before is told as such, and one that fails then as new")
  func closing() async throws {
    for isEarlier in [true, false] {
      let test = try PoisonedCommitTests()
      let disk = FaultyStorage(test.base)
      let node = try test.makeBase("qcow2", on: disk)
      try test.stage.write([UInt8](repeating: 9, count: 300_000), to: node, at: 100_000)
      disk.set(.init(.flush))
      if isEarlier { #expect(throws: BlockError.self) { try node.flush() } }
      let errors = await test.stage.graph.closeAll()
      #expect(!errors.isEmpty && errors.allSatisfy { $0.isAfterFlush == isEarlier }, "\(errors)")
    }
  }

  @Test(
    "an overlay whose flush fails fails the job, whichever flush it is, and every later one",
    arguments: ["qcow2", "raw"], [false, true])
  func overlay(format: String, isActive: Bool) async throws {
    var failures = 0
    while true {
      let test = try PoisonedCommitTests()
      let stage = test.stage
      let baseNode = try test.makeBase(format, on: test.base)
      let disk = FaultyStorage(test.top)
      let middle = isActive ? baseNode : try stage.qcow2("middle", size: 1 << 20, over: baseNode)
      let topNode = try stage.qcow2("top", size: 1 << 20, over: middle, on: disk)
      let committed = isActive ? topNode : middle
      try stage.write([UInt8](repeating: 9, count: 300_000), to: committed, at: 100_000)
      try topNode.flush()
      let before = try stage.view(topNode)
      disk.set(.init(.flush, after: failures))
      let job = try stage.commit(committed, into: baseNode) { request, options in
        request.emptiesTop = isActive
        options.onError = .ignore
        options.autoComplete = true
      }
      let end = await stage.end(of: job)
      guard disk.hasFailed else {
        #expect(end.error == nil)
        break
      }
      failures += 1
      #expect(end.failure?.errno == 5 && end.failure?.code == .poisoned)
      #expect(!stage.log.contains("COMPLETED"))
      #expect(try stage.view(topNode) == before)
      let later = #expect(throws: BlockError.self) { try topNode.flush() }
      #expect(later?.code == .poisoned && later?.errno == 5)
    }
    #expect(failures > 0)
  }
}
