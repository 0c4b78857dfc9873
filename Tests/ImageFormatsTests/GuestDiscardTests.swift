import BlockCore
import BlockIO
import ImageFormats
import TestSupport
import Testing

@Suite("a guest's discard")
struct GuestDiscardTests {
  @Test("reads zero afterwards, whatever lies underneath and whether or not it was allocated")
  func readsZero() throws {
    var random = SeededGenerator(seed: 2)
    var options = Qcow2CreateOptions(size: 200_000)
    options.clusterSize = 4096
    options.backing = BackingLink(name: "below.raw", format: "raw")
    let test = try ImageUnderTest(options, backing: random.bytes(150_000))
    try test.write(random.bytes(20_000), at: 30_000)
    let range = ByteRange(from: 8192, to: 200_000)
    for _ in 0..<2 {
      try test.image.discard(range, .readsZero)
      test.model.zero(range)
      #expect(try test.view().isSame(as: test.model))
    }
    let directory = try TemporaryDirectory()
    try directory.write([UInt8](repeating: 1, count: 512), to: "below.raw")
    try test.judge(directory)
  }

  @Test("in version 2 over a backing file changes nothing, since nothing could hide what is below")
  func version2() throws {
    var random = SeededGenerator(seed: 2)
    var options = Qcow2CreateOptions(size: 200_000)
    options.version = 2
    options.backing = BackingLink(name: "below.raw", format: "raw")
    let test = try ImageUnderTest(options, backing: random.bytes(150_000))
    try test.write(random.bytes(20_000), at: 30_000)
    try test.image.discard(ByteRange(at: 0, length: 200_000), .readsZero)
    #expect(try test.view().isSame(as: test.model))
  }
}
