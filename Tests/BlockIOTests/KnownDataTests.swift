import BlockCore
import TestSupport
import Testing

@testable import BlockIO

@Suite("Where a file is known to hold data")
struct KnownDataTests {
  @Test("as a model says, whatever was found and forgotten", arguments: [1, 2, 3] as [UInt64])
  func model(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var known = KnownData()
    var model = [Bool](repeating: false, count: 400)
    for _ in 0..<300 {
      if known.frontier < 390, Bool.random(using: &random) {
        let lower = Int.random(in: known.frontier..<390, using: &random)
        let run = ByteRange(from: lower, to: Int.random(in: lower + 1...395, using: &random))
        known.append(run)
        for index in run.lower..<run.upper { model[index] = true }
      } else {
        let lower = Int.random(in: 0..<400, using: &random)
        let range = ByteRange(from: lower, to: Int.random(in: lower...400, using: &random))
        known.remove(range)
        for index in range.lower..<range.upper { model[index] = false }
      }
      for offset in 0..<400 {
        #expect((known.end(ofDataAt: offset) != nil) == model[offset])
        if let end = known.end(ofDataAt: offset) {
          #expect(model[offset..<end].allSatisfy { $0 })
        }
      }
    }
  }

  @Test("of very many runs those remain that were found last, or are left over of a large one")
  func bounded() {
    var known = KnownData()
    for index in 0...KnownData.most { known.append(ByteRange(at: index * 10, length: 5)) }
    let end = known.frontier
    #expect(known.runs.count <= KnownData.most)
    #expect(known.isForgotten(0) && known.isWanting(0))
    #expect(known.end(ofDataAt: end - 1) == end)
    known.restart(at: 3)
    known.append(ByteRange(at: 3, length: 1 << 30))
    for index in 1...3 * KnownData.most { known.remove(ByteRange(at: index * 100, length: 50)) }
    #expect(known.runs.count <= KnownData.most)
    #expect(known.end(ofDataAt: 1 << 29) == 3 + (1 << 30))
    #expect(known.end(ofDataAt: 3 * KnownData.most * 100) == nil)
  }

  @Test("a file with more runs than are remembered is seen as it is, in any order")
  func fragmented() throws {
    let directory = try TemporaryDirectory(in: "/dev/shm")
    let file = try HostFile.create(FileName(directory.file("file")))
    let (unit, pieces) = (4096, KnownData.most + 900)
    for index in 0..<pieces { try file.write([1], at: 2 * index * unit) }
    try file.write([UInt8](repeating: 1, count: 100 * unit), at: 2 * pieces * unit)
    var holes: Set<Int> = []
    func expect(_ index: Int) throws {
      let isData = index >= 2 * pieces || index % 2 == 0
      let found = try file.extent(in: ByteRange(at: index * unit, length: unit))
      #expect(found.isData == (isData && !holes.contains(index)), "\(index)")
    }
    let all = 2 * pieces + 100
    for index in 0..<all { try expect(index) }
    var random = SeededGenerator(seed: 5)
    for _ in 0..<2000 {
      let index = Int.random(in: 0..<all, using: &random)
      if Int.random(in: 0..<4, using: &random) == 0 {
        try file.discard(ByteRange(at: index * unit, length: unit))
        holes.insert(index)
      }
      try expect(index)
    }
    try file.close()
  }

  @Test("data is found again from any place, in any order, and a hole made since is a hole")
  func file() throws {
    let directory = try TemporaryDirectory(in: "/dev/shm")
    let file = try HostFile.create(FileName(directory.file("file")))
    let unit = 64 << 10
    for index in [1, 2, 5, 9] {
      try file.write([UInt8](repeating: 1, count: unit), at: index * unit)
    }
    try file.truncate(to: 12 * unit)
    func isData(_ index: Int) throws -> Bool {
      try file.extent(in: ByteRange(at: index * unit, length: unit)).isData
    }
    #expect(
      try [11, 9, 8, 2, 5, 1, 0].map(isData) == [false, true, false, true, true, true, false])
    try file.discard(ByteRange(at: 2 * unit, length: unit))
    #expect(try [1, 2, 5].map(isData) == [true, false, true])
    try file.write([UInt8](repeating: 1, count: unit), at: 8 * unit)
    #expect(try isData(8))
    try file.close()
  }
}
