import BlockCore
import BlockGraph
import BlockIO
import BlockRuntime
import ImageFormats
import TestSupport
import Testing

@testable import BlockJobs

@Suite("When requests fail")
@ControlPlane
struct JobErrorTests {
  private let clock = ManualClock()
  private let stage: JobStage
  private nonisolated static let full = BlockError(.noSpace, "No space left on device", errno: 28)

  init() throws { stage = try JobStage(clock: clock) }

  private func start(_ work: CountedWork, _ policy: ErrorPolicy) throws -> Job {
    try stage.start(ScriptedBody { job throws(BlockError) in try await job.run(work) }) {
      $0.onError = policy
    }
  }

  private func until(_ condition: () -> Bool) async {
    while !condition() { await Task.yield() }
  }

  @Test("stop pauses the job, and a resume tries again", arguments: [ErrorPolicy.stop, .enospc])
  func stop(policy: ErrorPolicy) async throws {
    let work = CountedWork(pieces: 5, width: 2) { $0 == 2 ? Self.full : nil }
    let job = try start(work, policy)
    await until { job.machine.status == .paused }
    #expect(stage.log == ["created", "running", "ERROR(write stop)", "paused"])
    #expect(job.snapshot.ioStatus == .noSpace)
    try job.resume()
    #expect(job.snapshot.ioStatus == .ok)
    await stage.end(of: job)
    #expect(work.done.sorted() == [0, 1, 2, 3, 4])
    #expect(stage.log.suffix(5) == ["waiting", "pending", "COMPLETED", "concluded", "null"])
  }

  @Test("one cause stops a job once, however many steps it hits")
  func stopOnce() async throws {
    let work = CountedWork(pieces: 9, width: 4) { $0 < 4 ? Self.full : nil }
    let job = try start(work, .stop)
    await until { job.machine.status == .paused }
    #expect(stage.log.filter { $0.hasPrefix("ERROR") }.count == 1)
    try job.cancel(force: true)
    await stage.end(of: job)
  }

  @Test("ignore tries again for ever, but not all the time")
  func ignore() async throws {
    let work = CountedWork(pieces: 1) { $0 < 10 ? Self.full : nil }
    let job = try start(work, .ignore)
    var waits: [UInt64] = []
    for _ in 0..<10 {
      await until { clock.nextAlarm != nil && !job.pump.isBusy }
      let wait = try #require(clock.nextAlarm)
      waits.append(wait / 1_000_000)
      clock.advance(by: wait)
    }
    await stage.end(of: job)
    #expect(waits == [10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000])
    #expect(stage.log.filter { $0 == "ERROR(write ignore)" }.count == 10)
    #expect(work.done == [0])
  }

  @Test("a job that ignores its errors can be cancelled")
  func cancelIgnoring() async throws {
    let job = try start(CountedWork(pieces: 1) { _ in Self.full }, .ignore)
    await until { clock.nextAlarm != nil }
    try job.cancel(force: true)
    #expect(await stage.end(of: job).isCancelled)
  }

  @Test("a full disk under a commit: stopped, resumed, whole")
  func fullDisk() async throws {
    let disk = FaultyStorage(MemoryStorage())
    let base = try stage.qcow2("base", size: 16 << 20, on: disk)
    let top = try stage.qcow2("top", size: 16 << 20, over: base)
    var generator = SeededGenerator(seed: 5)
    try stage.write(generator.bytes(12 << 20), to: top, at: 100_000)
    let before = try stage.view(top)
    disk.set(.init(.write, after: 3, lasts: true, Self.full))
    let job = try stage.commit(top, into: base) { _, options in
      options.onError = .enospc
      options.autoComplete = true
    }
    await until { job.machine.status == .paused }
    #expect(try stage.view(top) == before)
    disk.set(nil)
    try job.resume()
    #expect(await stage.end(of: job).error == nil)
    #expect(try stage.view(base) == before)
  }

  @Test("whichever call fails, the view stays, and the commit can be run again")
  func everyFault() async throws {
    var generator = SeededGenerator(seed: 9)
    let data = generator.bytes(300_000)
    var reached = 0
    for operation in [StorageOperation.read, .write, .flush, .truncate, .writeZeroes] {
      var isThrough = false
      var after = 0
      while !isThrough {
        let stage = try JobStage()
        let (baseDisk, topDisk) = (FaultyStorage(MemoryStorage()), FaultyStorage(MemoryStorage()))
        let base = try stage.qcow2("base", size: 200_192, clusterSize: 4096, on: baseDisk)
        let middle = try stage.qcow2("middle", size: 500_224, clusterSize: 4096, over: base)
        let top = try stage.qcow2("top", size: 1 << 20, over: middle, on: topDisk)
        try stage.write(data, to: middle, at: 10_000)
        try stage.write(Array(data[...5000]), to: top, at: 100_000)
        let before = try stage.view(top)
        try base.flush()
        try top.flush()
        baseDisk.set(.init(operation, after: after))
        topDisk.set(.init(operation, after: after))
        let end = await stage.end(of: try stage.commit(middle, into: base))
        isThrough = !baseDisk.hasFailed && !topDisk.hasFailed
        #expect((end.error == nil) == isThrough, "\(operation) \(after)")
        baseDisk.set(nil)
        topDisk.set(nil)
        #expect(try stage.view(top) == before, "\(operation) \(after)")
        if !isThrough && operation != .flush && stage.graph.node(named: "middle") != nil {
          let again = await stage.end(of: try stage.commit(middle, into: base))
          #expect(again.error == nil, "\(operation) \(after)")
          #expect(try stage.view(top) == before, "\(operation) \(after)")
        }
        after += 1
        reached += 1
      }
    }
    #expect(reached > 12, "faults were hit")
  }
}
