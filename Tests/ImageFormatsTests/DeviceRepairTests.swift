import BlockCore
import BlockIO
import ImageFormats
import ImageTrials
import TestSupport
import Testing

/// New refcounts on a block device, which cannot grow: they lie inside it.
@Suite("check: repair on a block device")
struct DeviceRepairTests {
  struct Layout: CustomTestStringConvertible, Sendable {
    var clusterSize = 4096
    var refcountBits = 16
    /// Whether the device is full but for clusters that were given back here and there.
    var isFull = false
    var testDescription: String {
      "\(clusterSize) B clusters, \(refcountBits)-bit refcounts"
        + (isFull ? ", gaps only" : ", room at the end")
    }
  }

  static let layouts: [Layout] = [
    Layout(), Layout(isFull: true), Layout(clusterSize: 512, refcountBits: 1),
    Layout(clusterSize: 512, refcountBits: 1, isFull: true),
    Layout(clusterSize: 512, refcountBits: 64),
    Layout(clusterSize: 512, refcountBits: 64, isFull: true),
    Layout(clusterSize: 65_536), Layout(clusterSize: 65_536, isFull: true),
  ]
  private static let dirty: UInt64 = 1
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func device(_ bytes: [UInt8]) throws -> MemoryStorage {
    let storage = MemoryStorage(
      size: bytes.count, name: "device", traits: StorageTraits(isDevice: true))
    try storage.poke(bytes, at: 0)
    return storage
  }

  /// A device of 128 clusters whose image has lost all its refcounts, and what its guest sees.
  private func makeImage(
    _ layout: Layout, bits: UInt64 = 0, gaps: Bool = true
  ) throws -> (bytes: [UInt8], view: [UInt8]) {
    let cluster = layout.clusterSize
    let storage = try device([UInt8](repeating: 0, count: 128 * cluster))
    var options = Qcow2CreateOptions(size: 200 * cluster)
    options.clusterSize = cluster
    options.refcountBits = layout.refcountBits
    try Qcow2Create.create(options, on: storage)
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    var random = SeededGenerator(seed: 3)
    for index in 0..<(layout.isFull ? 200 : 60) {
      guard try hasWritten(random.bytes(cluster), to: image, at: index * cluster) else { break }
    }
    try image.flush()
    if gaps {
      // Neighbours in one place, for the table, and single ones.
      let given: [(Int, Int)] = [(3, 4), (20, 1), (22, 1), (30, 5), (50, 2)]
      for (index, count) in given {
        try image.discard(ByteRange(at: index * cluster, length: count * cluster), .fallsThrough)
      }
    }
    try image.close()
    var broken = HostileImage(try storage.bytes())
    broken.put64(0, at: broken.refcountTableOffset)
    broken.put64(bits, at: 72)
    return (broken.bytes, try view(broken.bytes))
  }

  /// Writes, and returns whether there was room.
  private func hasWritten(
    _ bytes: [UInt8], to image: Qcow2Image, at offset: Int
  ) throws(BlockError) -> Bool {
    do throws(BlockError) {
      try bytes.withBytes { (source) throws(BlockError) in
        try image.write(source, at: offset, over: nil)
      }
      return true
    } catch {
      if error.code == .noSpace { return false }
      throw error
    }
  }

  private func view(_ bytes: [UInt8]) throws -> [UInt8] {
    let image = try Qcow2Image.open(on: try MemoryStorage(bytes), readOnly: true, forCheck: true)
    return try image.view(ByteRange(at: 0, length: image.virtualSize))
  }

  private func repair(_ storage: any Storage, eliding: FlushPlace? = nil) throws -> CheckResult {
    let image = try Qcow2Image.open(on: storage, readOnly: true, eliding: eliding)
    let operation = try image.check(.all)
    while try !operation.step() {}
    return operation.result
  }

  @Test("refcounts are built anew inside the device", arguments: layouts)
  func repairs(layout: Layout) throws {
    let (bytes, view) = try makeImage(layout)
    let storage = try device(bytes)
    let result = try repair(storage)
    #expect(result.isSound && result.leaks == 0, "\(result.findings)")
    #expect(try storage.size() == bytes.count)
    try storage.check(directory)
    #expect(try self.view(storage.bytes()) == view)
  }

  @Test("an image with the dirty bit is repaired when it is opened", arguments: layouts)
  func atOpen(layout: Layout) throws {
    let (bytes, view) = try makeImage(layout, bits: Self.dirty)
    let storage = try device(bytes)
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    try [UInt8](repeating: 9, count: 300).withBytes { (bytes) throws(BlockError) in
      try image.write(bytes, at: 0, over: nil)
    }
    try image.close()
    try storage.check(directory)
    var expected = view
    expected.put([UInt8](repeating: 9, count: 300), at: 0)
    #expect(try self.view(storage.bytes()) == expected)
  }

  @Test("whatever a power loss leaves can be repaired, and shows the same", arguments: layouts)
  func crash(layout: Layout) throws {
    let (bytes, view) = try makeImage(layout, bits: Self.dirty)
    let log = StorageLog()
    _ = try repair(RecordingStorage(try device(bytes), log: log))
    var (states, sound) = (0, 0)
    try CrashStates(of: log, from: bytes).visit { state in
      states += 1
      let storage = try device(state.bytes)
      #expect(try self.view(state.bytes) == view, "with \(state.changes)")
      let image = try Qcow2Image.open(on: storage, readOnly: true)
      let found = try image.check(.none)
      while try !found.step() {}
      // Either none of the old refcounts, or all of the new ones.
      if found.result.isSound { sound += 1 }
      #expect(found.result.isSound || found.result.leaks == 0, "with \(state.changes)")
      let result = try repair(storage)
      #expect(result.isSound && result.leaks == 0, "with \(state.changes)")
    }
    #expect(states > 4)
    #expect(sound > 0)
    #expect(sound < states)
  }

  @Test("without the flush before the switch some state has refcounts of neither")
  func flush() throws {
    let (bytes, _) = try makeImage(Layout(isFull: true))
    let log = StorageLog()
    _ = try repair(
      RecordingStorage(try device(bytes), log: log),
      eliding: FlushPlace(.newRefcountTableBeforeHeader, in: "switchRefcounts(to:)"))
    var mixed = 0
    try CrashStates(of: log, from: bytes).visit { state in
      let old = HostileImage(bytes).refcountTableOffset
      if HostileImage(state.bytes).refcountTableOffset == old { return }
      let image = try Qcow2Image.open(on: device(state.bytes), readOnly: true)
      let found = try image.check(.none)
      while try !found.step() {}
      if !found.result.isSound { mixed += 1 }
    }
    #expect(mixed > 0)
  }

  @Test("a device without room says so, and nothing has changed", arguments: [UInt64(0), dirty])
  func noRoom(bits: UInt64) throws {
    let (bytes, _) = try makeImage(Layout(isFull: true), bits: bits, gaps: false)
    let storage = try device(bytes)
    let error = #expect(throws: BlockError.self) {
      if bits == 0 {
        _ = try repair(storage)
      } else {
        _ = try Qcow2Image.open(on: storage, readOnly: false)
      }
    }
    #expect(error?.code == .noSpace)
    #expect(error?.message.contains("no room for new refcounts") == true)
    #expect(try storage.bytes().isSame(as: bytes))
  }

  @Test(
    "as root, on a loop device", .enabled(if: LoopDevice.isAvailable), arguments: [false, true])
  func loopDeviceAsRoot(isFull: Bool) throws {
    let (bytes, view) = try makeImage(Layout(isFull: isFull))
    let loop = try LoopDevice(bytes)
    #expect(try QemuTools.img("check", "-f", "qcow2", loop.path).status == 2)
    let file = try HostFile.open(loop.path)
    let result = try repair(file)
    #expect(result.isSound && result.leaks == 0, "\(result.findings)")
    let image = try Qcow2Image.open(on: file, readOnly: true)
    #expect(try image.view(ByteRange(at: 0, length: image.virtualSize)) == view)
    try file.close()
    let check = try QemuTools.img("check", "-f", "qcow2", loop.path)
    #expect(check.status == 0, "\(check.output)")
  }
}
