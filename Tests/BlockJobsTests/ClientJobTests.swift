import BlockCore
import BlockGraph
import BlockRuntime
import ImageFormats
import TestSupport
import Testing

@testable import BlockJobs

@Suite("Write, checksum, compare")
@ControlPlane
struct ClientJobTests {
  private let stage: JobStage

  init() throws { stage = try JobStage() }

  private func run(
    _ make: () throws(BlockError) -> any JobBody
  ) async throws -> JobSnapshot {
    await stage.end(of: try stage.registry.start(JobOptions(id: "j0"), make))
  }

  private func write(
    _ node: BlockNode, _ range: ByteRange, _ source: WriteJob.Source
  ) async throws -> JobSnapshot {
    let chain = stage.graph.chain(from: node)
    return try await run { () throws(BlockError) in
      try WriteJob(chain, range, from: source, id: "j0", graph: stage.graph)
    }
  }

  private func compare(_ first: BlockNode, _ second: BlockNode) async throws -> JobSnapshot {
    try await run { () throws(BlockError) in
      try CompareJob(
        BackingChain([first]), BackingChain([second]), id: "j0", graph: stage.graph)
    }
  }

  @Test("write fills a range with a pattern, with zeros, or from a file")
  func writes() async throws {
    let disk = try stage.qcow2("disk", size: 6 << 20)
    var model = [UInt8](repeating: 0, count: 6 << 20)
    let patterned = 1000..<5_000_001
    #expect(
      try await write(disk, ByteRange(at: 1000, length: 4_999_001), .pattern(0xa5))
        .currentProgress == 4_999_001)
    for index in patterned { model[index] = 0xa5 }
    _ = try await write(disk, ByteRange(at: 70_000, length: 200_000), .zeroes)
    for index in 70_000..<270_000 { model[index] = 0 }
    let file = try MemoryStorage([UInt8](1...200))
    _ = try await write(disk, ByteRange(at: 3_000_000, length: 300), .file(file))
    for index in 0..<300 { model[3_000_000 + index] = index < 200 ? UInt8(index + 1) : 0 }
    #expect(try stage.view(disk) == model)
  }

  @Test("write refuses what lies outside the disk")
  func outside() async throws {
    let disk = try stage.qcow2("disk", size: 1 << 20)
    await #expect(throws: BlockError.self) {
      try await write(disk, ByteRange(at: 1 << 20, length: 1), .zeroes)
    }
    try stage.graph.requireNoJob(on: disk)
  }

  @Test("SHA-256 of the published test vectors")
  func vectors() {
    let vectors: [(String, String)] = [
      ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
      (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
      ),
      (
        String(repeating: "a", count: 1_000_000),
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
      ),
    ]
    for (text, digest) in vectors {
      for piece in [1, 55, 56, 63, 64, 65, 1_000_000] {
        var hash = SHA256()
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
          Array(rest.prefix(piece)).withBytes { hash.update($0) }
          rest = rest.dropFirst(piece)
        }
        #expect(hash.hexDigest() == digest)
      }
    }
  }

  @Test("the checksum of an image is that of its raw bytes")
  func checksum() async throws {
    let base = try stage.qcow2("base", size: 5_000_192)
    let top = try stage.qcow2("top", size: 5_000_192, over: base)
    var generator = SeededGenerator(seed: 1)
    try stage.write(generator.bytes(900_000), to: base, at: 100)
    try stage.write(generator.bytes(900_000), to: top, at: 600_000)
    let chain = stage.graph.chain(from: top)
    let end = try await run { () throws(BlockError) in
      try ChecksumJob(chain, id: "j0", graph: stage.graph)
    }
    let directory = try TemporaryDirectory()
    let path = try directory.write(try chain.allBytes(), to: "raw")
    let oracle = try QemuTools.run("sha256sum", [path]).output
    #expect(oracle.hasPrefix(try #require(end.result.checksum)))
  }

  @Test("compare finds the first difference, wherever it is")
  func compare() async throws {
    let first = try stage.qcow2("first", size: 9 << 20)
    let second = try stage.qcow2("second", size: 9 << 20, clusterSize: 512)
    for node in [first, second] {
      try stage.write([UInt8](repeating: 3, count: 3 << 20), to: node, at: 1_000_000)
    }
    try stage.write([0, 0, 0], to: second, at: 6_000_000)
    #expect(try await compare(first, second).result.firstDifference == nil)
    try stage.write([1], to: second, at: 8 << 20)
    #expect(try await compare(first, second).result.firstDifference == 8 << 20)
    try stage.write([1], to: first, at: 2_345_678)
    #expect(try await compare(first, second).result.firstDifference == 2_345_678)
  }

  @Test("of disks of different length the rest must be zero")
  func lengths() async throws {
    let short = try stage.qcow2("short", size: 1 << 20)
    let long = try stage.qcow2("long", size: 3 << 20)
    #expect(try await compare(short, long).result.firstDifference == nil)
    #expect(try await compare(long, short).result.firstDifference == nil)
    try stage.write([1], to: long, at: (3 << 20) - 1)
    #expect(try await compare(short, long).result.firstDifference == (3 << 20) - 1)
  }

  @Test("two jobs may read one image, none may write it meanwhile")
  func permissions() async throws {
    let disk = try stage.qcow2("disk", size: 1 << 20)
    let chain = BackingChain([disk])
    let reader = try CompareJob(chain, chain, id: "j0", graph: stage.graph)
    _ = try ChecksumJob(chain, id: "j1", graph: stage.graph)
    #expect(throws: BlockError.self) {
      try WriteJob(
        chain, ByteRange(at: 0, length: 1), from: .zeroes, id: "j2", graph: stage.graph)
    }
    withExtendedLifetime(reader) {}
  }
}
