import BlockCore
import BlockIO
import ImageFormats
import TestSupport
import Testing

/// The n-th call of each kind fails once, for n = 1, 2, 3 … until the operation comes through.
@Suite("every single I/O error")
final class EveryFaultTests {
  static let kinds: [StorageOperation] = [
    .read, .write, .writeZeroes, .discard, .flush, .truncate, .size,
  ]
  let directory: TemporaryDirectory
  /// Stored images that were judged already: many errors leave the same one.
  private var judged: Set<Int> = []

  init() throws {
    directory = try TemporaryDirectory()
    try directory.write([UInt8](repeating: 0, count: 512), to: "below.raw")
  }

  @Test(
    "an error is typed, leaves each cluster old or new and no damage, and is no obstacle later",
    arguments: FaultScenario.all)
  func everyCall(scenario: FaultScenario) throws {
    let start = try Start(scenario, directory)
    var failures = 0
    for kind in Self.kinds {
      for count in 0..<10_000 {
        if try !trial(start, kind, after: count) { break }
        failures += 1
      }
    }
    #expect(failures > 4)
  }

  /// The image before the operation, and the guest's view before and after it.
  private struct Start {
    let scenario: FaultScenario
    let image: [UInt8]
    let backing: BytesView?
    /// As long as `new`: zeros past the old end, which a resize that got no further shows.
    let old: [UInt8]
    let new: [UInt8]
    /// The old length.
    let size: Int

    init(_ scenario: FaultScenario, _ directory: TemporaryDirectory) throws {
      self.scenario = scenario
      var random = SeededGenerator(seed: 77)
      let below = scenario.backingBytes == 0 ? nil : random.bytes(scenario.backingBytes)
      let test = try ImageUnderTest(scenario.options, backing: below)
      try scenario.prepare(test)
      try test.image.close()
      if scenario.hasSnapshot {
        try test.storage.save(to: directory.file("start.qcow2"))
        try QemuTools.img("snapshot", "-c", "shared", directory.file("start.qcow2"))
        image = try directory.read("start.qcow2")
      } else {
        image = try test.storage.bytes()
      }
      backing = test.backing
      size = test.model.count
      let after = try ImageUnderTest(image, model: test.model, backing: backing)
      try scenario.operation(after)
      new = after.model
      old = test.model + [UInt8](repeating: 0, count: new.count - size)
    }
  }

  /// One run with one error. Returns whether there was one: if not, the operation has come through.
  private func trial(
    _ start: Start, _ kind: StorageOperation, after count: Int
  ) throws -> Bool {
    let storage = try MemoryStorage(start.image, name: "image")
    let faulty = FaultyStorage(storage)
    let test = try ImageUnderTest(
      on: storage, through: faulty, model: Array(start.old.prefix(start.size)),
      backing: start.backing)
    faulty.set(.init(kind, after: count))
    do {
      try start.scenario.operation(test)
      try test.image.flush()
    } catch let error as BlockError {
      #expect([.io, .poisoned, .readOnly].contains(error.code), "\(error)")
      #expect(faulty.hasFailed, "\(error)")
    }
    guard faulty.hasFailed else {
      faulty.set(nil)
      #expect(try test.view().isSame(as: start.new))
      return false
    }
    let place: Comment = "\(kind) \(count + 1)"
    // A crash right after the error.
    try judge(start, storage, place)
    // Life goes on, except after a flush that failed.
    if kind == .flush {
      for _ in 0..<2 {
        let later = #expect(throws: BlockError.self, place) { try test.image.flush() }
        #expect(later?.code == .poisoned && later?.errno == 5, place)
      }
      return true
    }
    faulty.set(nil)
    try test.image.flush()
    try judge(start, storage, "\(place), flushed")
    try start.scenario.operation(test)
    #expect(try test.view().isSame(as: start.new), "\(place), repeated")
    try test.image.close()
    try judge(start, storage, "\(place), repeated", wants: start.new)
    return true
  }

  /// Opens what is stored as a crash would leave it, and looks at it.
  private func judge(
    _ start: Start, _ storage: MemoryStorage, _ place: Comment, wants only: [UInt8]? = nil
  ) throws {
    let bytes = try storage.bytes()
    let isKnown = !judged.insert(bytes.digest).inserted
    if isKnown, only == nil { return }
    if !isKnown { try storage.check(directory, allowLeaks: true, place) }
    let test = try ImageUnderTest(bytes, model: [], backing: start.backing, readOnly: true)
    let view = try test.view()
    if let only {
      #expect(view.isSame(as: only), place)
      return
    }
    #expect(view.count == start.size || view.count == start.new.count, place)
    for lower in stride(from: 0, to: view.count, by: test.image.clusterSize) {
      let cluster = ByteRange(from: lower, to: min(view.count, lower + test.image.clusterSize))
      if view.isSame(as: start.new, in: cluster) { continue }
      guard view.isSame(as: start.old, in: cluster) else {
        Issue.record("\(place): the cluster at \(lower) is neither old nor new")
        return
      }
    }
  }
}
