import BlockCore
import BlockIO
import ImageFormats
import TestSupport
import Testing

/// Emptying an image whose L1 table has moved: guest data lie where a new image has its tables.
@Suite("emptying: power loss at every write")
struct MakeEmptyCrashTests {
  struct Layout: CustomTestStringConvertible, Sendable {
    var version = 3
    var clusterSize: Int
    var refcountBits = 16
    /// The disk before and after it was made longer.
    var size: Int
    var longerSize: Int
    var isDevice = false
    var testDescription: String {
      "v\(version), \(clusterSize) B clusters, \(refcountBits)-bit refcounts, from \(size) to "
        + "\(longerSize) bytes" + (isDevice ? ", on a device" : "")
    }
  }

  static let layouts = [
    Layout(clusterSize: 65_536, size: 64 << 20, longerSize: 1 << 40),
    Layout(version: 2, clusterSize: 4096, size: 64 << 20, longerSize: 4 << 30),
    Layout(clusterSize: 4096, refcountBits: 1, size: 64 << 20, longerSize: 4 << 30),
    Layout(clusterSize: 512, refcountBits: 64, size: 2 << 20, longerSize: 40 << 20),
    Layout(clusterSize: 4096, size: 64 << 20, longerSize: 4 << 30, isDevice: true),
  ]
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  /// Makes the image; its guest data lie in the clusters that the L1 table had.
  private func makeImage(_ layout: Layout) throws -> [UInt8] {
    var options = Qcow2CreateOptions(size: layout.size)
    options.version = layout.version
    options.clusterSize = layout.clusterSize
    options.refcountBits = layout.refcountBits
    let storage =
      layout.isDevice
      ? MemoryStorage(size: 2 << 20, name: "image", traits: StorageTraits(isDevice: true))
      : MemoryStorage(name: "image")
    try Qcow2Create.create(options, on: storage)
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    let marks = [UInt8](repeating: 0x77, count: 3 * layout.clusterSize)
    try write(marks, to: image, at: 0)
    try image.resize(to: layout.longerSize, over: nil)
    try image.flush()
    try write(marks, to: image, at: 8 * layout.clusterSize)
    try write([1, 2, 3], to: image, at: layout.longerSize - 3)
    try image.close()
    return try storage.bytes()
  }

  private func write(_ bytes: [UInt8], to image: Qcow2Image, at offset: Int) throws {
    try bytes.withBytes { (bytes) throws(BlockError) in
      try image.write(bytes, at: offset, over: nil)
    }
  }

  /// All that an image holds: its runs, and their bytes.
  private func content(_ bytes: [UInt8]) throws -> [ByteRange: [UInt8]] {
    let image = try Qcow2Image.open(on: MemoryStorage(bytes), readOnly: true)
    var found: [ByteRange: [UInt8]] = [:]
    var rest = ByteRange(at: 0, length: image.virtualSize)
    while !rest.isEmpty {
      for run in try image.mappings(in: rest, limit: 64) {
        rest = rest.dropping(run.range.length)
        if run.content == .unallocated { continue }
        var data = [UInt8](repeating: 0, count: run.range.length)
        try data.withMutableBytes { (target) throws(BlockError) in
          try image.read(into: &target, at: run.range.lower)
        }
        found[run.range] = data
      }
    }
    return found
  }

  /// Empties the image, and returns what was written.
  private func empty(
    _ bytes: [UInt8], _ layout: Layout, eliding elided: FlushPlace? = nil
  ) throws -> StorageLog {
    let log = StorageLog()
    let storage = MemoryStorage(
      size: bytes.count, name: "image", traits: StorageTraits(isDevice: layout.isDevice))
    try storage.poke(bytes, at: 0)
    let image = try Qcow2Image.open(
      on: RecordingStorage(storage, log: log), readOnly: false, eliding: elided)
    let operation = try image.makeEmpty(.reset)
    while try !operation.step() {}
    #expect(try content(storage.bytes()).isEmpty)
    return log
  }

  @Test("each state is wholly the old image or wholly an empty one", arguments: layouts)
  func oldOrEmpty(layout: Layout) throws {
    let start = try makeImage(layout)
    let old = try content(start)
    let log = try empty(start, layout)
    var states = 0
    var empties = 0
    try CrashStates(of: log, from: start).visit { state in
      states += 1
      let found = try content(state.bytes)
      if found.isEmpty { empties += 1 } else { #expect(found == old, "with \(state.changes)") }
      guard states % 4 == 1 else { return }
      let storage = try MemoryStorage(state.bytes, name: "image")
      try storage.check(directory, allowLeaks: true, "with \(state.changes)")
    }
    #expect(empties > 0 && states > empties + 3, "\(states) states, \(empties) empty")
  }

  @Test(
    "without one of its flushes some state is neither",
    arguments: [FlushPoint.emptyTablesBeforeSwitch, .switchBeforeReuse])
  func flushesAreNeeded(point: FlushPoint) throws {
    let layout = Self.layouts[1]
    let start = try makeImage(layout)
    let old = try content(start)
    let log = try empty(start, layout, eliding: FlushPlace(point, in: "switchToEmpty(_:)"))
    var isBroken = false
    try CrashStates(of: log, from: start).visit { state in
      let found = try? content(state.bytes)
      if found == nil || (found != [:] && found != old) { isBroken = true }
    }
    #expect(isBroken)
  }

  @Test("on a device nothing is cut and nothing lies past its end; a full one says so")
  func device() throws {
    let layout = Self.layouts[4]
    let start = try makeImage(layout)
    let log = try empty(start, layout)
    for entry in log.entries {
      switch entry.event {
      case .truncate: Issue.record("truncated")
      case .write(let offset, let bytes): #expect(offset + bytes.count <= start.count)
      case .writeZeroes(let range, _): #expect(range.upper <= start.count)
      default: break
      }
    }
    let storage = MemoryStorage(
      size: start.count, name: "image", traits: StorageTraits(isDevice: true))
    try storage.poke(start, at: 0)
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    var position = 1 << 20
    let error = #expect(throws: BlockError.self) {
      while true {
        try write([UInt8](repeating: 1, count: 4096), to: image, at: position)
        position += 4096
      }
    }
    #expect(error?.code == .noSpace)
    try image.flush()
    let full = try storage.bytes()
    let operation = try image.makeEmpty(.reset)
    let refusal = #expect(throws: BlockError.self) { while try !operation.step() {} }
    #expect(refusal?.code == .noSpace)
    #expect(try storage.bytes().isSame(as: full))
    // Cluster by cluster it works, and then all of it is free again.
    let discard = try image.makeEmpty(.discard)
    while try !discard.step() {}
    try storage.check(directory)
    try write([UInt8](repeating: 2, count: 1 << 20), to: image, at: 0)
    try image.close()
    try storage.check(directory)
  }
}
