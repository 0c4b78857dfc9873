import BlockCore
import BlockIO
import ImageFormats
import TestSupport
import Testing

/// A file that may not be longer than so many bytes; of a write past that the part before arrives.
private final class LimitedStorage: WrappingStorage {
  let base: any Storage
  private let limit: Int

  init(_ base: any Storage, limit: Int) {
    self.base = base
    self.limit = limit
  }

  private func require(_ end: Int) throws(BlockError) {
    if end > limit { throw BlockError(.noSpace, "File too large", errno: 27, file: name) }
  }

  func write(_ bytes: RawSpan, at offset: Int) throws(BlockError) {
    let fitting = min(bytes.byteCount, max(0, limit - offset))
    if fitting > 0 { try base.write(bytes.extracting(0..<fitting), at: offset) }
    try require(offset + bytes.byteCount)
  }

  func writeZeroes(_ range: ByteRange, deallocate: Bool) throws(BlockError) {
    try require(range.upper)
    try base.writeZeroes(range, deallocate: deallocate)
  }

  func reserve(_ range: ByteRange) throws(BlockError) { try require(range.upper) }

  func truncate(to size: Int) throws(BlockError) {
    try require(size)
    try base.truncate(to: size)
  }
}

@Test(
  "after a write that found no room, what there is room for is written, and all of it kept",
  arguments: [512, 65_536])
func fullFile(clusterSize: Int) throws {
  let size = 8 << 20
  let memory = MemoryStorage(name: "image")
  var options = Qcow2CreateOptions(size: size)
  options.clusterSize = clusterSize
  try Qcow2Create.create(options, on: memory)
  let test = try ImageUnderTest(
    on: memory, through: LimitedStorage(memory, limit: 1 << 20),
    model: [UInt8](repeating: 0, count: size), backing: nil)
  var random = SeededGenerator(seed: 1)
  try test.write(random.bytes(200_000), at: 0)
  try test.image.flush()
  let error = #expect(throws: BlockError.self) {
    try test.write(random.bytes(2 << 20), at: 1 << 20)
  }
  #expect(error?.code == .noSpace)
  try test.write(random.bytes(100_000), at: 50_000)
  try test.image.flush()
  try test.image.close()
  test.image = try Qcow2Image.open(on: memory, readOnly: true)
  // What of the refused write has arrived is left open.
  for range in [ByteRange(at: 0, length: 1 << 20), ByteRange(from: 4 << 20, to: size)] {
    #expect(try test.view(range).isSame(as: Array(test.model[range.lower..<range.upper])))
  }
  try memory.check(try TemporaryDirectory())
}
