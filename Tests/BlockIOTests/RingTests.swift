import BlockCore
import BlockIO
import Dispatch
import Glibc
import TestSupport
import Testing

/// Batches by io_uring, beside the same ones by plain calls.
@Suite struct RingTests {
  private static let fileBytes = 3_000_001

  /// The same file twice, one of them with rings.
  private struct Pair {
    let directory: TemporaryDirectory
    let plain: HostFile
    let ring: HostFile

    init(direct: Bool, isReadOnly: Bool = false) throws {
      directory = try TemporaryDirectory()
      var random = SeededGenerator(seed: 1)
      let bytes = random.bytes(RingTests.fileBytes)
      var options = HostFileOptions(isReadOnly: isReadOnly, direct: direct)
      plain = try HostFile.open(directory.write(bytes, to: "plain"), options)
      options.rings = try RingPool.of(.ring)
      ring = try HostFile.open(directory.write(bytes, to: "ring"), options)
    }

    /// Lets the page cache forget what it holds of the file.
    func forget() throws {
      try ring.makeDurable()
      let descriptor = open(ring.name, O_RDONLY | O_CLOEXEC)
      try #require(descriptor >= 0)
      defer { Glibc.close(descriptor) }
      try #require(posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) == 0)
    }

    func close() throws {
      try plain.close()
      try ring.close()
    }
  }

  /// Requests for places that do not overlap, some side by side, some of them past the end.
  private static func batch(_ random: inout SeededGenerator) -> [IORequest] {
    var requests: [IORequest] = []
    var offset = Int.random(in: 0..<8, using: &random) * 4096
    let kind = Int.random(in: 0..<5, using: &random)
    for _ in 0..<Int.random(in: 1..<150, using: &random) {
      let isOdd = Int.random(in: 0..<10, using: &random) == 0
      let length =
        isOdd
        ? Int.random(in: 1..<9000, using: &random) : Int.random(in: 1...9, using: &random) * 4096
      let buffer = IOBuffer(count: length.roundedUp(to: 4096) + 4096)
      let start = isOdd ? Int.random(in: 0..<4096, using: &random) : 0
      let bytes = random.bytes(buffer.count)
      buffer.withMutableBytes(0..<bytes.count) { target in bytes.withBytes { target.copy($0) } }
      let isRead = kind < 2 || kind == 4 && Bool.random(using: &random)
      requests.append(
        IORequest(isRead ? .read : .write, at: offset, buffer, start..<start + length))
      offset += length
      if Bool.random(using: &random) {
        offset = (offset + Int.random(in: 0..<60_000, using: &random)).roundedUp(to: 4096)
      }
    }
    return requests.shuffled(using: &random)
  }

  private static func copies(_ requests: [IORequest]) -> [IORequest] {
    requests.map { request in
      let bytes = request.buffer.withBytes(0..<request.buffer.count) { $0.copied() }
      let buffer = IOBuffer(count: bytes.count)
      buffer.withMutableBytes(0..<bytes.count) { target in bytes.withBytes { target.copy($0) } }
      return IORequest(request.operation, at: request.offset, buffer, request.part)
    }
  }

  @Test(
    "random batches read and write the same bytes as plain calls do",
    arguments: [false, true], [1, 2, 3] as [UInt64])
  func sameBytes(direct: Bool, seed: UInt64) throws {
    let pair = try Pair(direct: direct)
    var random = SeededGenerator(seed: seed)
    for _ in 0..<40 {
      let requests = RingTests.batch(&random)
      let others = RingTests.copies(requests)
      try pair.forget()
      try pair.plain.perform(requests)
      try pair.ring.perform(others)
      for (one, other) in zip(requests, others) {
        let isSame = one.buffer.withBytes(0..<one.buffer.count) { bytes in
          other.buffer.withBytes(0..<other.buffer.count) { bytes.isEqual(to: $0) }
        }
        #expect(isSame, "\(one.operation) at \(one.offset)")
      }
      #expect(try pair.ring.size() == pair.plain.size())
      #expect(pair.ring.highestWrite == pair.plain.highestWrite)
    }
    try pair.close()
    #expect(try pair.directory.read("ring") == pair.directory.read("plain"))
  }

  @Test(
    "what one of many requests fails with is told as plain calls tell it", arguments: [false, true])
  func sameError(direct: Bool) throws {
    let pair = try Pair(direct: direct)
    // No file may be so long.
    let offsets = [0, 65_536, 1 << 62, 131_072, (1 << 62) + 65_536]
    let requests = offsets.map { IORequest(.write, at: $0, IOBuffer(count: 4096), 0..<4096) }
    let plain = #expect(throws: BlockError.self) { try pair.plain.perform(requests) }
    let ring = #expect(throws: BlockError.self) { try pair.ring.perform(requests) }
    #expect(ring?.code == .noSpace && ring?.errno == EFBIG && ring?.file == pair.ring.name)
    #expect(plain?.code == ring?.code && plain?.message == ring?.message)
    // Those before it are done.
    for offset in [0, 65_536, 131_072] {
      #expect(try pair.ring.read(ByteRange(at: offset, length: 4096)).allSatisfy { $0 == 0 })
    }
    try pair.close()
  }

  @Test("a file that is open for reading only refuses a batch of writes", arguments: [false, true])
  func readOnly(direct: Bool) throws {
    let pair = try Pair(direct: direct, isReadOnly: true)
    let requests = [0, 65_536].map { IORequest(.write, at: $0, IOBuffer(count: 4096), 0..<4096) }
    for file in [pair.plain, pair.ring] {
      let error = #expect(throws: BlockError.self) { try file.perform(requests) }
      #expect(error?.code == .readOnly)
    }
    try pair.close()
    #expect(try pair.directory.read("ring") == pair.directory.read("plain"))
  }

  @Test("threads that share the rings get their own bytes", arguments: [false, true])
  func sideBySide(direct: Bool) throws {
    let pair = try Pair(direct: direct)
    try pair.forget()
    DispatchQueue.concurrentPerform(iterations: 4) { worker in
      for turn in 0..<50 {
        let requests = (0..<40).map { index in
          let offset = (index * 4 + worker) * 16_384 + turn % 4 * 4096
          return IORequest(.read, at: offset, IOBuffer(count: 4096), 0..<4096)
        }
        #expect(throws: Never.self) { try pair.ring.perform(requests) }
        for request in requests {
          let bytes = request.buffer.withBytes(0..<4096) { $0.copied() }
          #expect((try? pair.plain.read(ByteRange(at: request.offset, length: 4096))) == bytes)
        }
      }
    }
    try pair.close()
  }

  @Test("where the system has no rings, threads do the work unless rings are insisted on")
  func fallback() throws {
    func refuse() throws(BlockError) -> Ring {
      throw BlockError(.permission, "Operation not permitted", errno: EPERM)
    }
    #expect(try RingPool.of(.automatic, making: refuse) == nil)
    #expect(try RingPool.of(.threads, making: refuse) == nil)
    let error = #expect(throws: BlockError.self) { _ = try RingPool.of(.ring, making: refuse) }
    #expect(error?.errno == EPERM && error?.message.hasSuffix(": Operation not permitted") == true)
    #expect(error?.message.contains("--io auto or threads") == true)
  }
}
