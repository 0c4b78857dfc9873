import BlockCore
import BlockIO
import Foundation
import TestSupport
import Testing

/// Direct I/O in whole pages, as on a disk whose blocks are as large: there most of an image's
/// metadata is a part of a block.
@Suite("direct I/O in whole pages")
struct HostFilePagesTests {
  let directory: TemporaryDirectory

  init() throws {
    // Not a file system in memory, which may know no direct I/O.
    directory = try TemporaryDirectory()
  }

  private func open(_ bytes: [UInt8]) throws -> HostFile {
    var options = HostFileOptions(direct: true)
    options.usesWholePages = true
    let file = try HostFile.open(try directory.write(bytes, to: "file"), options)
    try #require(file.traits.alignment == 4096)
    return file
  }

  @Test("a read of part of the last block gives what was asked for, and not what lies behind it")
  func lastBlock() throws {
    let bytes = (0..<3000).map { UInt8($0 % 251) }
    let file = try open(bytes)
    #expect(try file.read(ByteRange(at: 100, length: 100)) == Array(bytes[100..<200]))
    var target = [UInt8](repeating: 9, count: 100)
    let count = try target.withMutableBytes { (span) throws(BlockError) in
      try file.read(into: &span, at: 100)
    }
    #expect(count == 100)
    let end = Array(bytes[2990...]) + [UInt8](repeating: 0, count: 10)
    #expect(try file.read(ByteRange(at: 2990, length: 20)) == end)
    try file.close()
  }

  @Test("a write of part of the last block takes nothing away from who makes the file longer")
  func growth() throws {
    let file = try open([UInt8](repeating: 1, count: 1000))
    for _ in 0..<300 {
      try file.truncate(to: 1000)
      DispatchQueue.concurrentPerform(iterations: 2) { worker in
        #expect(throws: Never.self) {
          if worker == 1 { return try file.truncate(to: 8192) }
          for _ in 0..<3 { try file.write([3, 3, 3], at: 900) }
        }
      }
      try #require(try file.size() == 8192)
      try #require(try file.read(ByteRange(at: 899, length: 5)) == [1, 3, 3, 3, 1])
    }
    try file.close()
  }
}
