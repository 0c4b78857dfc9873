import BlockCore
import BlockGraph
import BlockIO
import BlockRuntime
import ImageFormats
import TestSupport
import Testing

@testable import BlockJobs

@Suite("Commit")
@ControlPlane
struct CommitJobTests {
  private static let cluster = 65_536
  private let stage: JobStage

  init() throws { stage = try JobStage() }

  private func bytes(_ count: Int, _ value: UInt8) -> [UInt8] {
    [UInt8](repeating: value, count: count)
  }

  @Test("an active commit becomes ready, completes, and moves the top's users")
  func active() async throws {
    let base = try stage.qcow2("base", size: 1 << 20)
    let top = try stage.qcow2("top", size: 1 << 20, over: base)
    try stage.write(bytes(100_000, 1), to: base, at: 0)
    try stage.write(bytes(100_000, 2), to: top, at: 50_000)
    let before = try stage.view(top)

    let job = try stage.commit(top, into: base) { $1.autoDismiss = false }
    await stage.wait(for: job) { $0.machine.isReady }
    #expect(job.snapshot.currentProgress == job.snapshot.totalProgress)
    #expect(job.snapshot.phase == .ready)
    try job.complete()
    let end = await stage.end(of: job)
    #expect(
      stage.log == [
        "created", "running", "ready", "READY", "waiting", "pending", "COMPLETED", "concluded",
      ])
    #expect(try stage.view(base) == before)
    #expect(try stage.view(top) == before)
    // Clusters 0 to 2: the write touches parts of them, the rest came from the base.
    #expect(end.result.bytesCopied == 3 * Self.cluster)
    #expect(end.result.invalidatedImages == [])
    #expect(end.currentProgress == end.totalProgress)
  }

  @Test("an intermediate commit ends by itself, and the overlay's header leads to the base")
  func intermediate() async throws {
    let base = try stage.qcow2("base", size: 1 << 20)
    let middle = try stage.qcow2("middle", size: 1 << 20, over: base)
    let upper = try stage.qcow2("upper", size: 1 << 20, over: middle)
    let top = try stage.qcow2("top", size: 1 << 20, over: upper)
    for (index, node) in [base, middle, upper, top].enumerated() {
      try stage.write(bytes(90_000, UInt8(index + 1)), to: node, at: index * 70_000)
    }
    let before = try stage.view(top)
    let job = try stage.commit(upper, into: base) { $1.autoDismiss = false }
    #expect { try job.complete() } throws: { error in
      (error as? BlockError)?.message
        == "Job 'j0' in state 'running' cannot accept command verb 'complete'"
    }
    let end = await stage.end(of: job)
    #expect(
      stage.log == ["created", "running", "waiting", "pending", "COMPLETED", "concluded"])
    #expect(try stage.view(top) == before)
    #expect(top.image.backingLink == BackingLink(name: "/base", format: "qcow2"))
    #expect(stage.graph.chain(from: top).nodes.map(\.name) == ["top", "base"])
    #expect(end.result.invalidatedImages == ["/middle"])
    #expect(stage.graph.node(named: "upper") == nil, "nobody uses it any more")
  }

  @Test("nothing to copy: ready at once, and still completed by hand")
  func empty() async throws {
    let base = try stage.qcow2("base", size: 0)
    let top = try stage.qcow2("top", size: 0, over: base)
    let job = try stage.commit(top, into: base)
    await stage.wait(for: job) { $0.machine.isReady }
    #expect(job.snapshot.totalProgress == 0)
    try job.complete()
    #expect(await stage.end(of: job).error == nil)
  }

  @Test("a soft cancel of a ready job leaves the base as it is at that moment")
  func softCancel() async throws {
    let base = try stage.qcow2("base", size: 1 << 20)
    let top = try stage.qcow2("top", size: 1 << 20, over: base)
    let over = stage.graph.chain(from: top)
    try stage.write(bytes(1000, 2), to: top, at: 0)
    let job = try stage.commit(top, into: base) { $1.autoFinalize = false }
    await stage.wait(for: job) { $0.machine.isReady }
    try stage.write(bytes(1000, 3), to: top, at: 300_000)
    try job.cancel(force: false)
    await stage.wait(for: job) { $0.isLeftPending }
    let atThatMoment = try over.allBytes()
    try stage.write(bytes(1000, 4), to: top, at: 600_000)
    try job.finalize()
    await stage.end(of: job)
    #expect(stage.log.suffix(3) == ["COMPLETED", "concluded", "null"])
    #expect(try stage.view(base) == atThatMoment)
    #expect(try stage.view(top) != atThatMoment)
  }

  @Test("what is written to the top while the job is ready is in the base when it completes")
  func liveWrites() async throws {
    let base = try stage.qcow2("base", size: 8 << 20)
    let top = try stage.qcow2("top", size: 8 << 20, over: base)
    try stage.write(bytes(1 << 20, 2), to: top, at: 0)
    let job = try stage.commit(top, into: base) { $1.autoFinalize = false }
    await stage.wait(for: job) { $0.machine.isReady }
    try stage.write(bytes(1000, 3), to: top, at: 500_000)
    try stage.write(bytes(1000, 4), to: top, at: 5_000_000)
    try job.complete()
    await stage.wait(for: job) { $0.isLeftPending }
    // Pending is not the end yet: this write must not be lost either.
    try stage.write(bytes(1000, 5), to: top, at: 7_000_000)
    try top.writeZeroes(ByteRange(at: 4096, length: 65_536), deallocate: true, over: nil)
    let before = try stage.view(top)
    try job.finalize()
    await stage.end(of: job)
    #expect(try stage.view(base) == before)
  }

  @Test("somebody writes all the time, and nothing is lost", arguments: 0..<5)
  func liveWriter(seed: UInt64) async throws {
    let size = 16 << 20
    let base = try stage.qcow2("base", size: size)
    let middle = try stage.qcow2("middle", size: size, clusterSize: 512, over: base)
    let top = try stage.qcow2("top", size: size, over: middle)
    var generator = SeededGenerator(seed: seed)
    try stage.write(generator.bytes(9 << 20), to: middle, at: 1 << 20)
    try stage.write(generator.bytes(3 << 20), to: top, at: 8 << 20)
    let (chain, start) = (stage.graph.chain(from: top), generator)
    let job = try stage.commit(top, into: base)
    let written = await LanePool.shared.perform(on: DeviceKey(99)) { () throws(BlockError) in
      var generator = start
      for _ in 0..<300 {
        let length = Int.random(in: 1...70_000, using: &generator)
        let range = ByteRange(
          at: Int.random(in: 0..<size - length, using: &generator), length: length)
        if Bool.random(using: &generator) {
          try chain.writeZeroes(range, deallocate: true)
        } else {
          try generator.bytes(length).withBytes { (bytes) throws(BlockError) in
            try chain.write(bytes, at: range.lower)
          }
        }
      }
    }
    try written.get()
    await stage.wait(for: job) { $0.machine.isReady }
    let before = try stage.view(top)
    try job.complete()
    #expect(await stage.end(of: job).error == nil)
    #expect(try stage.view(base) == before)
    #expect(try stage.view(top) == before)
  }

  @Test("a write to what is being copied at that moment is copied afterwards")
  func writeInBetween() async throws {
    let size = 16 << 20
    let baseDisk = HeldStorage(MemoryStorage())
    let middleDisk = HeldStorage(MemoryStorage(), .reads(longerThan: Self.cluster))
    let base = try stage.qcow2("base", size: size, on: baseDisk)
    let middle = try stage.qcow2("middle", size: size, over: base, on: middleDisk)
    let top = try stage.qcow2("top", size: size, over: middle)
    // One piece from two layers, and far away more than one step copies.
    try stage.write(bytes(Self.cluster, 1), to: top, at: 0)
    try stage.write(bytes(2 * Self.cluster, 2), to: middle, at: Self.cluster)
    try stage.write(bytes(4 << 20, 3), to: top, at: 8 << 20)
    baseDisk.hold()
    middleDisk.hold()
    let job = try stage.commit(top, into: base)
    while middleDisk.waitingCalls == 0 || baseDisk.waitingCalls == 0 { await Task.yield() }
    // The top's part of the first piece is read, the middle's is not.
    try stage.write(bytes(Self.cluster, 4), to: top, at: 0)
    baseDisk.release()
    while job.pump.stepsAtWork > 1 { await Task.yield() }
    middleDisk.release()
    await stage.wait(for: job) { $0.machine.isReady }
    let before = try stage.view(top)
    try job.complete()
    await stage.end(of: job)
    #expect(before[0] == 4)
    #expect(try stage.view(base) == before)
  }

  @Test("a write that comes between the look at the tables and the copy is copied afterwards")
  func writeAfterLook() async throws {
    let size = 16 << 20
    let baseDisk = HeldStorage(MemoryStorage())
    let middleDisk = HeldStorage(MemoryStorage(), .shortReads(upTo: 512))
    let base = try stage.qcow2("base", size: 512, on: baseDisk)
    // So small are its clusters, and its cache, that a second look has to read the tables again.
    let middle = try stage.qcow2(
      "middle", size: size, clusterSize: 512, over: base, on: middleDisk, cacheBytes: 0)
    let top = try stage.qcow2("top", size: size, over: middle)
    try stage.write(bytes(size, 1), to: middle, at: 0)
    // The first write makes the base longer: the plan is made then, and nothing copied.
    baseDisk.hold()
    let job = try stage.commit(top, into: base)
    while baseDisk.waitingCalls == 0 { await Task.yield() }
    middleDisk.hold()
    baseDisk.release()
    while middleDisk.waitingCalls == 0 { await Task.yield() }
    // The step that waits has seen that the top holds nothing.
    try stage.write(bytes(size, 2), to: top, at: 0)
    middleDisk.release()
    await stage.wait(for: job) { $0.machine.isReady }
    try job.complete()
    await stage.end(of: job)
    #expect(try stage.view(base) == bytes(size, 2))
  }

  @Test("with auto-complete nobody has to complete it")
  func autoComplete() async throws {
    let base = try stage.qcow2("base", size: 1 << 20)
    let top = try stage.qcow2("top", size: 1 << 20, over: base)
    try stage.write(bytes(1000, 2), to: top, at: 0)
    let job = try stage.commit(top, into: base) { $1.autoComplete = true }
    #expect(await stage.end(of: job).error == nil)
    #expect(stage.log.contains("READY"))
  }

  @Test("the top is emptied in the end, and reads the same")
  func emptyTop() async throws {
    let base = try stage.qcow2("base", size: 1 << 20)
    let top = try stage.qcow2("top", size: 1 << 20, over: base)
    try stage.write(bytes(300_000, 2), to: top, at: 1000)
    let before = try stage.view(top)
    let job = try stage.commit(top, into: base) { request, options in
      request.emptiesTop = true
      options.autoComplete = true
    }
    #expect(await stage.end(of: job).error == nil)
    #expect(try stage.view(top) == before)
    let all = ByteRange(at: 0, length: 1 << 20)
    #expect(
      try top.mappings(in: all, limit: 9) == [ImageMapping(range: all, content: .unallocated)])
  }

  @Test("nodes that were read-only are so again, and permissions are free")
  func givesBack() async throws {
    let storage = MemoryStorage()
    _ = try JobStage().qcow2("base", size: 1 << 20, on: storage)
    let base = stage.add("base", try Qcow2Image.open(on: storage, readOnly: true))
    let top = try stage.qcow2("top", size: 1 << 20, over: base)
    try stage.write(bytes(1000, 2), to: top, at: 0)
    let job = try stage.commit(top, into: base)
    #expect { try stage.commit(top, into: base, id: "j1") } throws: { error in
      (error as? BlockError)?.message
        == "Node 'top' is busy: block device is in use by block job: commit"
    }
    await stage.wait(for: job) { $0.machine.isReady }
    #expect(!base.isReadOnly)
    try job.cancel(force: true)
    await stage.end(of: job)
    #expect(base.isReadOnly)
    try stage.graph.requireNoJob(on: top)
    try stage.graph.requireNoJob(on: base)
  }

  @Test("another overlay that is open on the base forbids the commit")
  func sibling() throws {
    let base = try stage.qcow2("base", size: 1 << 20)
    let top = try stage.qcow2("top", size: 1 << 20, over: base)
    _ = try stage.qcow2("sibling", size: 1 << 20, over: base)
    #expect { try stage.commit(top, into: base) } throws: {
      ($0 as? BlockError)?.code == .locked
    }
    try stage.graph.requireNoJob(on: top)
  }

  @Test(
    "another overlay that is open on a layer between forbids the commit: its view would change",
    arguments: ["active", "intermediate"])
  func siblingBetween(kind: String) throws {
    let base = try stage.qcow2("base", size: 1 << 20)
    let middle = try stage.qcow2("middle", size: 1 << 20, over: base)
    let top = try stage.qcow2("top", size: 1 << 20, over: middle)
    let sibling = try stage.qcow2("sibling", size: 1 << 20, over: middle)
    if kind == "intermediate" { _ = try stage.qcow2("over", size: 1 << 20, over: top) }
    #expect { try stage.commit(top, into: base) } throws: {
      guard let error = $0 as? BlockError, error.code == .locked else { return false }
      return error.message.contains("node 'middle'") && error.message.contains("'sibling'")
    }
    try stage.graph.requireNoJob(on: top)
    #expect(stage.graph.backing(of: sibling) === middle)
  }

  @Test("while a commit runs nobody begins to read a layer between")
  func newReaderBetween() async throws {
    let base = try stage.qcow2("base", size: 1 << 20)
    let middle = try stage.qcow2("middle", size: 1 << 20, over: base)
    let top = try stage.qcow2("top", size: 1 << 20, over: middle)
    let job = try stage.commit(top, into: base)
    let user = NodeUser.job(id: "reader", type: "checksum")
    #expect { try stage.graph.acquire(middle, .reader, for: user) } throws: {
      ($0 as? BlockError)?.code == .busy
    }
    await stage.wait(for: job) { $0.machine.isReady }
    try job.cancel(force: true)
    await stage.end(of: job)
    stage.graph.release(try stage.graph.acquire(middle, .reader, for: user))
  }

  @Test("a base that is a shorter device is refused before the first write")
  func shortDevice() async throws {
    let base = try stage.raw("base", size: 512_000, traits: StorageTraits(isDevice: true))
    let top = try stage.qcow2("top", size: 1 << 20, over: base)
    try stage.write(bytes(1000, 2), to: top, at: 0)
    let end = await stage.end(of: try stage.commit(top, into: base))
    #expect(end.failure?.code == .unsupported)
    #expect(base.writeGeneration == 0)
  }

  @Test("a backing name that does not fit is refused before the first write")
  func longName() async throws {
    let base = try stage.qcow2("base", size: 1 << 20)
    let middle = try stage.qcow2("middle", size: 1 << 20, over: base)
    _ = try stage.qcow2("top", size: 1 << 20, over: middle)
    try stage.write(bytes(1000, 2), to: middle, at: 0)
    let job = try stage.commit(middle, into: base) { request, _ in
      request.backingFile = String(repeating: "x", count: 1024)
    }
    let end = await stage.end(of: job)
    #expect(end.failure != nil)
    #expect(base.writeGeneration == 0)
  }

  @Test("what makes no sense is refused at once")
  func nonsense() throws {
    let base = try stage.qcow2("base", size: 1 << 20)
    let middle = try stage.qcow2("middle", size: 1 << 20, over: base)
    let top = try stage.qcow2("top", size: 1 << 20, over: middle)
    for (node, adjust) in [
      (middle, { $0.emptiesTop = true }), (top, { $0.emptiesTop = true }),
      (top, { $0.backingFile = "x" }),
    ] as [(BlockNode, (inout CommitJob.Request) -> Void)] {
      #expect { try stage.commit(node, into: base) { request, _ in adjust(&request) } } throws: {
        ($0 as? BlockError)?.code == .invalidArgument
      }
    }
  }
}
