import BlockCore
import BlockIO
import Foundation
import TestSupport
import Testing

@Suite("changes of an open file's use of the page cache")
struct HostFileCacheTests {
  let directory: TemporaryDirectory
  let path: String

  init() throws {
    // Not a file system in memory, which may know no direct I/O.
    directory = try TemporaryDirectory()
    path = try directory.write([UInt8](repeating: 1, count: 8192), to: "image")
  }

  @Test("direct I/O comes and goes; bytes, locks and the length stay")
  func direct() throws {
    let file = try HostFile.open(path)
    try file.write([2, 2, 2], at: 511)
    try file.reopen(readOnly: false, direct: true)
    #expect(file.traits.alignment > 1)
    #expect(
      try TestFile.lockedBytes(inode: file.identity.inode) == [100, 101, 103, 201, 203])
    #expect(try file.read(ByteRange(at: 510, length: 5)) == [1, 2, 2, 2, 1])
    try file.write([3, 3], at: 8191)
    try file.reopen(readOnly: true, direct: true)
    #expect(try TestFile.lockedBytes(inode: file.identity.inode) == [100, 201, 203])
    try file.claim(.nothing)
    try file.reopen(readOnly: true, direct: false)
    #expect(file.traits.alignment == 1)
    #expect(try TestFile.lockedBytes(inode: file.identity.inode) == [])
    #expect(try file.size() == 8193)
    try file.close()
    let bytes = try directory.read("image")
    #expect(bytes[509..<515] == [1, 1, 2, 2, 2, 1] && bytes[8190...] == [1, 3, 3])
  }
}
