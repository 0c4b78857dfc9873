import BlockCore
import BlockIO
import TestSupport
import Testing

/// Copying inside the kernel.
@Suite struct HostFileCopyTests {
  @Test(
    "a copy repeated until it is done brings data and holes over, on one file system or two",
    arguments: [nil, "/dev/shm"] as [String?])
  func wholeFile(parent: String?) throws {
    let here = try TemporaryDirectory()
    let there = try TemporaryDirectory(in: parent)
    let source = try HostFile.create(FileName(here.file("source")))
    let target = try HostFile.create(FileName(there.file("target")))
    var random = SeededGenerator(seed: 1)
    let size = (20 << 20) + 777
    try source.write(random.bytes(10 << 20), at: 0)
    try source.write(random.bytes(777), at: size - 777)
    try target.write(random.bytes(size), at: 0)

    var rest = ByteRange(at: 0, length: size + 5000)
    while rest.lower < size {
      let count = try target.copy(from: source, rest, to: rest.lower)
      // The kernel may refuse, and then the caller does it.
      if count == 0 {
        let piece = rest.prefix(min(1 << 20, size - rest.lower))
        try target.write(source.read(piece), at: piece.lower)
        rest = rest.dropping(piece.length)
      } else {
        #expect(count <= 8 << 20)
        rest = rest.dropping(count)
      }
    }
    #expect(rest.lower == size)
    #expect(try target.copy(from: source, rest, to: rest.lower) == 0)
    #expect(try here.read("source") == there.read("target"))
    #expect(try TestFile.allocated(there.file("target")) < 12 << 20)
    try source.close()
    try target.close()
  }

  @Test("the kernel does copy between two files of this disk, to any offset")
  func unaligned() throws {
    let directory = try TemporaryDirectory()
    let source = try HostFile.create(FileName(directory.file("source")))
    let target = try HostFile.create(FileName(directory.file("target")))
    try source.write(Array(0...255), at: 0)
    let count = try target.copy(from: source, ByteRange(at: 3, length: 100), to: 1001)
    #expect(count == 100)
    #expect(try target.read(ByteRange(at: 1001, length: 100)) == Array(3..<103))
    #expect(try target.size() == 1101)
  }

  @Test("where the kernel cannot, nothing is copied and the caller is told so")
  func refused() throws {
    let directory = try TemporaryDirectory()
    let file = try HostFile.create(FileName(directory.file("file")))
    try file.write([UInt8](repeating: 1, count: 100), at: 0)
    let range = ByteRange(at: 0, length: 100)
    #expect(try file.copy(from: MemoryStorage(size: 100), range, to: 0) == 0)
    #expect(try file.copy(from: file, range, to: 50) == 0)
    #expect(try file.size() == 100)
  }
}
