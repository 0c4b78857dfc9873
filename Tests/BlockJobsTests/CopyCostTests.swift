import BlockCore
import BlockGraph
import BlockIO
import BlockRuntime
import ImageFormats
import Synchronization
import TestSupport
import Testing

@testable import BlockJobs

@Suite("What a commit costs its base")
@ControlPlane
struct CopyCostTests {
  private let cluster = 65_536

  @Test("scattered clusters come to lie side by side, by one write in a MiB at most")
  func scattered() async throws {
    let stage = try JobStage()
    let log = StorageLog()
    let base = try stage.qcow2(
      "base", size: 64 << 20, on: RecordingStorage(MemoryStorage(name: "base"), log: log))
    let top = try stage.qcow2("top", size: 64 << 20, over: base)
    var random = SeededGenerator(seed: 1)
    let chosen = Array(0..<1024).shuffled(using: &random).prefix(512)
    for index in chosen {
      try stage.write(random.bytes(cluster), to: top, at: index * cluster)
    }
    let before = try stage.view(top)
    let start = log.entries.count
    let job = try stage.commit(top, into: base) { _, options in options.autoComplete = true }
    #expect(await stage.end(of: job).error == nil)
    #expect(try stage.view(base).isSame(as: before))
    let megabytes = (chosen.count * cluster) >> 20
    let changes = log.entries[start...].filter { entry in
      switch entry.event {
      case .flushBegan, .flushed, .note: false
      case .write, .writeZeroes, .discard, .truncate: true
      }
    }
    #expect(changes.count <= megabytes)

    // The clusters of one step lie in one piece, and several steps run at once.
    var breaks = 0
    var end = 0
    for run in try base.mappings(in: ByteRange(at: 0, length: 64 << 20), limit: 10_000) {
      guard case .data(let host) = run.content else { continue }
      if host != end { breaks += 1 }
      end = host + run.range.length
    }
    #expect(breaks <= megabytes)
  }

  @Test("what there is to copy is known from the start, however it is cut into steps")
  func total() async throws {
    let stage = try JobStage()
    let base = try stage.qcow2("base", size: 16 << 20)
    let top = try stage.qcow2("top", size: 16 << 20, over: base)
    for index in stride(from: 0, to: 256, by: 3) {
      try stage.write([7], to: top, at: index * cluster)
    }
    let source = CopySource(stage.graph.chain(from: top), base: 1)
    let survey = SurveyWork(source)
    while try !survey.step(StepLease(budget: 1)).isExhausted {}
    let progress = JobProgress()
    let copy = CopyWork(source, plan: survey.plan, progress: progress)
    let expected = 86 * cluster
    var isDone = false
    while !isDone {
      #expect(progress.total == expected)
      isDone = try copy.step(StepLease(budget: 100_000)).isExhausted
    }
    #expect(progress.total == expected && progress.done == expected)
  }

  @Test("clusters that hold zero bytes take no space in the base, and zero there what it held")
  func zeros() async throws {
    let stage = try JobStage()
    let base = try stage.qcow2("base", size: 1 << 20)
    let top = try stage.qcow2("top", size: 1 << 20, over: base)
    try stage.write([UInt8](repeating: 1, count: cluster), to: base, at: 2 * cluster)
    try stage.write([UInt8](repeating: 0, count: 5 * cluster), to: top, at: 0)
    try stage.write([UInt8](repeating: 2, count: cluster), to: top, at: 3 * cluster)
    let before = try stage.view(top)
    let job = try stage.commit(top, into: base) { _, options in options.autoComplete = true }
    #expect(await stage.end(of: job).error == nil)
    #expect(try stage.view(base).isSame(as: before))
    let data = try base.mappings(in: ByteRange(at: 0, length: 1 << 20), limit: 100)
      .filter { if case .data = $0.content { true } else { false } }
    #expect(data.map(\.range) == [ByteRange(at: 3 * cluster, length: cluster)])
  }

  @Test("told to, it leaves alone the clusters that already hold what they are to hold")
  func identical() async throws {
    let stage = try JobStage()
    let log = StorageLog()
    let base = try stage.qcow2(
      "base", size: 4 << 20, on: RecordingStorage(MemoryStorage(name: "base"), log: log))
    let top = try stage.qcow2("top", size: 4 << 20, over: base)
    var random = SeededGenerator(seed: 3)
    var bytes = random.bytes(4 << 20)
    try stage.write(bytes, to: base, at: 0)
    try base.flush()
    bytes[5 * cluster + 77] ^= 1
    bytes[40 * cluster] ^= 1
    try stage.write(bytes, to: top, at: 0)
    let start = log.entries.count
    let job = try stage.commit(top, into: base) { request, options in
      request.skipsIdentical = true
      options.autoComplete = true
    }
    #expect(await stage.end(of: job).error == nil)
    #expect(try stage.view(base).isSame(as: bytes))
    let written = log.entries[start...].reduce(0) { sum, entry in
      if case .write(_, let bytes) = entry.event { sum + bytes.count } else { sum }
    }
    #expect(written == 2 * cluster)
  }

  @Test("long runs go from file to file, and no byte of them through the process")
  func fromFileToFile() async throws {
    let directory = try TemporaryDirectory()
    let stage = try JobStage()
    let file = try HostFile.create(FileName(directory.file("base")))
    let storage = RecordingStorage(file, log: StorageLog())
    let base = try stage.qcow2("base", size: 32 << 20, on: storage)
    let top = try stage.qcow2(
      "top", size: 32 << 20, over: base, on: HostFile.create(FileName(directory.file("top"))))
    var random = SeededGenerator(seed: 5)
    for megabyte in stride(from: 0, to: 32, by: 2) {
      try stage.write(random.bytes(1 << 20), to: top, at: megabyte << 20)
    }
    let before = try stage.view(top)
    let job = try stage.commit(top, into: base) { _, options in options.autoComplete = true }
    #expect(await stage.end(of: job).error == nil)
    #expect(storage.copiedBytes == 16 << 20)
    #expect(try stage.view(base).isSame(as: before))
  }

  @Test("compressed clusters are read once, neighbours together, however a layer cuts them up")
  func compressed() async throws {
    let directory = try TemporaryDirectory()
    var random = SeededGenerator(seed: 9)
    var expected: [UInt8] = []
    for index in 0..<32 {
      let start = random.bytes(1000)
      expected += start + [UInt8](repeating: UInt8(index + 1), count: cluster - start.count)
    }
    try directory.write(expected, to: "raw")
    let made = try QemuTools.img(
      "convert", "-c", "-f", "raw", "-O", "qcow2", directory.file("raw"), directory.file("packed"))
    try #require(made.status == 0, "\(made.output)")
    let packed = ReadLog(try MemoryStorage(directory.read("packed"), name: "packed"))

    let stage = try JobStage()
    let size = expected.count
    let base = try stage.qcow2("base", size: size)
    let middle = stage.add("middle", try Qcow2Image.open(on: packed, readOnly: true), over: base)
    let top = try stage.qcow2("top", size: size, clusterSize: 4096, over: middle)
    for offset in stride(from: 0, to: size, by: 8192) {
      let bytes = random.bytes(4096)
      try stage.write(bytes, to: top, at: offset)
      expected.replaceSubrange(offset..<offset + 4096, with: bytes)
    }
    let start = packed.reads.count
    let job = try stage.commit(top, into: base) { _, options in options.autoComplete = true }
    #expect(await stage.end(of: job).error == nil)
    #expect(try stage.view(base).isSame(as: expected))
    // All of it is one window; its tables are read once, too.
    let reads = packed.reads[start...]
    #expect(reads.count <= 3, "\(reads)")
  }
}

/// A storage that notes what is read of it.
///
/// Isolation: any thread; state behind `log`.
private final class ReadLog: WrappingStorage {
  let base: any Storage
  private let log = Mutex<[ByteRange]>([])

  init(_ base: any Storage) { self.base = base }

  /// All reads so far.
  var reads: [ByteRange] { log.withLock { $0 } }

  func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) -> Int {
    let range = ByteRange(at: offset, length: bytes.byteCount)
    log.withLock { $0.append(range) }
    return try base.read(into: &bytes, at: offset)
  }
}
