import BlockCore
import BlockGraph
import BlockIO
import BlockJobs
import BlockRuntime
import TestSupport
import Testing

@Suite("commits past the page cache, in pages larger than the clusters")
@ControlPlane
struct PageCommitTests {
  @Test("all lanes together lose no byte", arguments: 0..<6)
  func lanes(seed: UInt64) async throws {
    // Not a file system in memory, which may know no direct I/O.
    let directory = try TemporaryDirectory()
    var options = HostFileOptions(direct: true)
    options.usesWholePages = true
    func file(_ name: String) throws -> HostFile {
      try HostFile.open(try directory.write([], to: name), options)
    }
    let stage = try JobStage()
    let base = try stage.qcow2("base", size: 24 << 20, clusterSize: 512, on: file("base"))
    let top = try stage.qcow2("top", size: 24 << 20, clusterSize: 4096, over: base, on: file("top"))
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<300 {
      let length = Int.random(in: 1...40_000, using: &generator)
      let offset = Int.random(in: 0..<(24 << 20) - length, using: &generator)
      try stage.write(generator.bytes(length), to: top, at: offset)
    }
    let before = try stage.view(top)
    let job = try stage.commit(top, into: base) { $1.autoComplete = true }
    #expect(await stage.end(of: job).error == nil)
    #expect(try stage.view(base) == before)
  }
}
