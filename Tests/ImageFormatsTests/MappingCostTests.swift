import BlockCore
import BlockIO
import ImageFormats
import ImageTrials
import TestSupport
import Testing

/// What a walk through all of a disk asks of the file, where its tables are many and empty.
@Suite("mapping: cost")
struct MappingCostTests {
  @Test("tables in one hole cost no look each, and one call passes a bounded number of them")
  func tablesInHole() throws {
    for clusterSize in [4096, 65_536] {
      let tables = 16_384
      let perTable = clusterSize / 8 * clusterSize
      var hostile = try HostileImage(
        clusterSize: clusterSize, size: tables * perTable, isFilled: false)
      let first = hostile.bytes.count.roundedUp(to: clusterSize)
      for index in 0..<tables {
        let entry = 1 << 63 | UInt64(first + index * clusterSize)
        hostile.put64(entry, at: hostile.l1Offset + index * 8)
      }
      let memory = try hostile.storage()
      try memory.truncate(to: first + tables * clusterSize)
      let storage = FaultyStorage(memory)
      let image = try Qcow2Image.open(on: storage, readOnly: true)
      var rest = ByteRange(at: 0, length: image.virtualSize)
      var calls = 0
      while !rest.isEmpty {
        let runs = try image.mappings(in: rest, limit: 1000)
        #expect(runs.map(\.content) == [.unallocated])
        rest = rest.dropping(runs.map(\.range.length).reduce(0, +))
        calls += 1
      }
      #expect(calls > 1)
      #expect(storage.count(.extent) + storage.count(.read) < tables / 100)
    }
  }

  @Test("a table in a hole whose first entries wait to be written shows them")
  func dirtyTable() throws {
    var options = Qcow2CreateOptions(size: 64 << 20)
    options.clusterSize = 4096
    let test = try ImageUnderTest(options)
    // None of them is written out yet.
    for table in 0..<32 { try test.write([7], at: table << 21) }
    let runs = try test.image.mappings(in: ByteRange(at: 0, length: 64 << 20), limit: 1000)
    #expect(runs.count { if case .data = $0.content { true } else { false } } == 32)
  }
}
