import BlockCore
import BlockGraph
import BlockRuntime
import ImageFormats
import TestSupport
import Testing

@testable import BlockJobs

@Suite("What is durable before what")
@ControlPlane
struct CommitOrderTests {
  private func recording(_ name: String, _ log: StorageLog) -> RecordingStorage {
    RecordingStorage(MemoryStorage(name: name), log: log)
  }

  private func startStream(_ stage: JobStage, _ top: BlockNode, downTo base: Int) throws -> Job {
    let request = StreamJob.Request(chain: stage.graph.chain(from: top), base: base)
    return try stage.registry.start(JobOptions(id: "s")) { () throws(BlockError) in
      try StreamJob(request, id: "s", graph: stage.graph)
    }
  }

  @Test("the base before the overlay's header, the overlay before the event")
  func intermediate() async throws {
    let stage = try JobStage()
    let log = StorageLog()
    let base = try stage.qcow2(
      "base", size: 300_032, on: RecordingStorage(MemoryStorage(name: "base"), log: log))
    let middle = try stage.qcow2("middle", size: 1 << 20, over: base)
    let top = try stage.qcow2(
      "top", size: 1 << 20, over: middle,
      on: RecordingStorage(MemoryStorage(name: "top"), log: log))
    try stage.write([UInt8](repeating: 1, count: 500_000), to: middle, at: 100_000)
    let start = log.entries.count
    let job = try stage.commit(middle, into: base)
    await stage.wait(for: job) { job in
      if job.machine.isConcluded { log.append(.note("concluded")) }
      return job.machine.isConcluded
    }

    let entries = log.entries[start...]
    let lastBaseChange = try #require(entries.lastIndex { $0.changes("base") })
    let firstTopChange = try #require(entries.firstIndex { $0.changes("top") })
    let lastTopChange = try #require(entries.lastIndex { $0.changes("top") })
    let event = try #require(entries.firstIndex { $0.storage.isEmpty })
    #expect(entries.flushes("base", between: lastBaseChange, and: firstTopChange))
    #expect(entries.flushes("top", between: lastTopChange, and: event))
    #expect(top.virtualSize == 1 << 20)
  }

  @Test("the base before the top is emptied")
  func emptied() async throws {
    let stage = try JobStage()
    let log = StorageLog()
    let base = try stage.qcow2(
      "base", size: 1 << 20, on: RecordingStorage(MemoryStorage(name: "base"), log: log))
    let top = try stage.qcow2(
      "top", size: 1 << 20, over: base,
      on: RecordingStorage(MemoryStorage(name: "top"), log: log))
    try stage.write([UInt8](repeating: 1, count: 500_000), to: top, at: 100_000)
    try top.flush()
    let start = log.entries.count
    let job = try stage.commit(top, into: base) { request, options in
      request.emptiesTop = true
      options.autoComplete = true
    }
    #expect(await stage.end(of: job).error == nil)
    let entries = log.entries[start...]
    let lastBaseChange = try #require(entries.lastIndex { $0.changes("base") })
    let firstTopChange = try #require(entries.firstIndex { $0.changes("top") })
    #expect(entries.flushes("base", between: lastBaseChange, and: firstTopChange))
  }

  @Test("what shows through the base, whoever has written it, before the top is emptied")
  func beneath() async throws {
    let (stage, log) = (try JobStage(), StorageLog())
    let bottom = try stage.qcow2("bottom", size: 1 << 20, on: recording("bottom", log))
    let middle = try stage.qcow2(
      "middle", size: 1 << 20, over: bottom, on: recording("middle", log))
    let base = try stage.qcow2("base", size: 1 << 20, over: middle)
    let top = try stage.qcow2("top", size: 1 << 20, over: base, on: recording("top", log))
    // The same zeros show without the top: nothing is copied.
    try top.writeZeroes(ByteRange(at: 0, length: 1 << 20), deallocate: true, over: nil)
    try top.flush()
    let start = log.entries.count
    let job = try stage.commit(top, into: base) { request, options in
      request.emptiesTop = true
      options.autoComplete = true
    }
    #expect(await stage.end(of: job).error == nil)
    let entries = log.entries[start...]
    let firstTopChange = try #require(entries.firstIndex { $0.changes("top") })
    for name in ["bottom", "middle"] {
      #expect(entries.flushes(name, between: start, and: firstTopChange), "\(name)")
    }
  }

  /// Asks a job of one kind or another to rely on what the base holds, and has not flushed.
  @Test(
    "also what a job here has written below and not flushed",
    arguments: ["empty", "commit", "stream"])
  func unflushed(kind: String) async throws {
    let stage = try JobStage()
    let storage = MemoryStorage(name: "root")
    let root = try stage.qcow2("root", size: 1 << 20, on: storage)
    let base = try stage.qcow2("base", size: 1 << 20, over: root)
    let top = try stage.qcow2("top", size: 1 << 20, over: base)
    let bytes = [UInt8](repeating: 7, count: 1 << 20)
    try stage.write(bytes, to: top, at: 0)
    try top.flush()
    try stage.write(bytes, to: root, at: 0)
    let job: Job
    switch kind {
    case "empty":
      job = try stage.registry.start(JobOptions(id: "j")) { () throws(BlockError) in
        try MakeEmptyJob(
          stage.graph.chain(from: top), mode: .auto, force: false, id: "j", graph: stage.graph,
          memory: stage.registry.commits)
      }
    case "commit":
      job = try stage.commit(top, into: base) { request, options in
        request.skipsIdentical = true
        options.autoComplete = true
      }
    default:
      job = try startStream(stage, top, downTo: 2)
    }
    #expect(await stage.end(of: job).error == nil)
    // What another process would find now.
    let found = try Qcow2Image.open(
      on: MemoryStorage(storage.bytes(), name: "found"), readOnly: true)
    #expect(try stage.view(stage.add("found", found)) == bytes)
  }

  /// Writes and lengths that need nothing written, because zeros show already: through what nobody
  /// has flushed.
  @Test("zeros that show through a top and are not written to it", arguments: ["write", "resize"])
  func zeros(kind: String) async throws {
    let stage = try JobStage()
    let storage = MemoryStorage(name: "base")
    let base = try stage.qcow2("base", size: 1 << 20, on: storage)
    let top = try stage.qcow2("top", size: kind == "resize" ? 65_536 : 1 << 20, over: base)
    try stage.write([UInt8](repeating: 7, count: 1 << 20), to: base, at: 0)
    try base.flush()
    let range = ByteRange(at: 0, length: 1 << 20)
    try base.writeZeroes(range, deallocate: true, over: nil)
    if kind == "resize" {
      try await stage.graph.resize(top, to: 1 << 20)
    } else {
      let chain = stage.graph.chain(from: top)
      let job = try stage.registry.start(JobOptions(id: "j")) { () throws(BlockError) in
        try WriteJob(chain, range, from: .zeroes, id: "j", graph: stage.graph)
      }
      #expect(await stage.end(of: job).error == nil)
    }
    #expect(try holdsOnlyZeros(storage))
  }

  @Test("what was written below before damage was found there")
  func damaged() async throws {
    let stage = try JobStage()
    let storage = MemoryStorage(name: "root")
    let maker = try JobStage()
    let made = try maker.qcow2("root", size: 1 << 20, on: storage)
    try maker.write([UInt8](repeating: 7, count: 1 << 20), to: made, at: 0)
    try made.image.close()
    try misleadLastCluster(of: storage)
    let root = stage.add("root", try Qcow2Image.open(on: storage, readOnly: false))
    let base = try stage.qcow2("base", size: 1 << 20, over: root)
    let top = try stage.qcow2("top", size: 1 << 20, over: base)
    let range = ByteRange(at: 0, length: 15 << 16)
    try root.writeZeroes(range, deallocate: true, over: nil)
    #expect(throws: BlockError.self) { try stage.view(root) }
    #expect(root.isReadOnly)
    try top.writeZeroes(range, deallocate: true, over: nil)
    try top.flush()
    let job = try stage.commit(top, into: base) { request, options in
      request.emptiesTop = true
      options.autoComplete = true
    }
    #expect(await stage.end(of: job).error == nil)
    #expect(try holdsOnlyZeros(storage, upTo: range.upper))
  }

  /// Lets the entry of the last of 16 clusters in the image on `storage` name a place past its end.
  private func misleadLastCluster(of storage: MemoryStorage) throws {
    let bytes = try storage.bytes()
    let (l1, mask) = (40, UInt64(0x00ff_ffff_ffff_fe00))
    let l2 = bytes.withBytes { span in
      Int(span.bigEndian(UInt64.self, at: Int(span.bigEndian(UInt64.self, at: l1))) & mask)
    }
    let entry: [UInt8] = [0x80, 0, 0, 1, 0, 0, 0, 0]
    try entry.withBytes { (span) throws(BlockError) in try storage.write(span, at: l2 + 15 * 8) }
  }

  /// Whether another process would find nothing but zeros now in the image on `storage`.
  private func holdsOnlyZeros(_ storage: MemoryStorage, upTo end: Int = 1 << 20) throws -> Bool {
    let found = try Qcow2Image.open(
      on: MemoryStorage(storage.bytes(), name: "found"), readOnly: true)
    let mappings = try found.mappings(in: ByteRange(at: 0, length: end), limit: Int.max)
    return mappings.allSatisfy { mapping in
      switch mapping.content {
      case .data, .compressed: false
      case .unallocated, .zero: true
      }
    }
  }

  @Test("the new backing file, and what shows through it, before a stream changes the header")
  func stream() async throws {
    let (stage, log) = (try JobStage(), StorageLog())
    let bottom = try stage.qcow2("bottom", size: 1 << 20, on: recording("bottom", log))
    let base = try stage.qcow2("base", size: 1 << 20, over: bottom, on: recording("base", log))
    let middle = try stage.qcow2("middle", size: 1 << 20, over: base)
    let top = try stage.qcow2("top", size: 1 << 20, over: middle, on: recording("top", log))
    try middle.writeZeroes(ByteRange(at: 0, length: 1 << 20), deallocate: true, over: nil)
    let start = log.entries.count
    let job = try startStream(stage, top, downTo: 2)
    #expect(await stage.end(of: job).error == nil)
    let entries = log.entries[start...]
    let lastTopChange = try #require(entries.lastIndex { $0.changes("top") })
    for name in ["bottom", "base"] {
      #expect(entries.flushes(name, between: start, and: lastTopChange), "\(name)")
    }
  }
}

extension StorageLog.Entry {
  fileprivate func changes(_ name: String) -> Bool {
    guard storage == name else { return false }
    switch event {
    case .flushBegan, .flushed, .note: return false
    case .write, .writeZeroes, .discard, .truncate: return true
    }
  }
}

extension ArraySlice<StorageLog.Entry> {
  /// Whether a whole flush of `name` lies between two entries.
  fileprivate func flushes(_ name: String, between first: Int, and last: Int) -> Bool {
    guard first < last else { return false }
    let part = self[first...last].filter { $0.storage == name }.map(\.event)
    guard let began = part.firstIndex(of: .flushBegan) else { return false }
    return part[began...].contains(.flushed)
  }
}
