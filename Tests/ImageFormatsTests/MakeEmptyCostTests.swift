import BlockCore
import BlockIO
import ImageFormats
import TestSupport
import Testing

/// What emptying writes must not depend on how much the image held.
@Suite("emptying: cost")
struct MakeEmptyCostTests {
  /// Everything up to the moment from which only the file's length changes.
  private struct Cost: Equatable {
    var writes = 0
    var bytes = 0
    var flushes = 0
    var steps = 0
  }

  private func cost(ofEmptying data: Int, _ mode: EmptyMode) throws -> Cost {
    let log = StorageLog()
    let storage = RecordingStorage(MemoryStorage(name: "image"), log: log)
    var options = Qcow2CreateOptions(size: 1 << 30)
    options.version = 3
    try Qcow2Create.create(options, on: storage)
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    let piece = [UInt8](repeating: 0x42, count: 1 << 20)
    for offset in stride(from: 0, to: data, by: piece.count) {
      try piece.withBytes { (bytes) throws(BlockError) in
        try image.write(bytes, at: offset * 16, over: nil)
      }
    }
    try image.flush()
    let before = log.entries.count
    let end = try storage.size()
    let operation = try image.makeEmpty(mode)
    var cost = Cost()
    while try !operation.step() {
      if try storage.size() >= end { cost.steps += 1 }
    }
    for entry in log.entries[before...] {
      switch entry.event {
      case .write(_, let bytes):
        cost.writes += 1
        cost.bytes += bytes.count
      case .writeZeroes(let range, _): cost.bytes += range.length
      case .flushed: cost.flushes += 1
      default: break
      }
    }
    return cost
  }

  @Test("as many bytes, flushes and steps for 64 MiB of data as for 1 MiB")
  func constant() throws {
    let small = try cost(ofEmptying: 1 << 20, .reset)
    let large = try cost(ofEmptying: 64 << 20, .reset)
    #expect(small == large)
    #expect(small.bytes < 8 * 65_536 && small.steps == 2 && small.flushes <= 8)
    // The measure sees a difference where there is one.
    #expect(try cost(ofEmptying: 64 << 20, .discard) != cost(ofEmptying: 1 << 20, .discard))
  }
}
