package import BlockCore
package import BlockIO
package import ImageFormats
package import TestSupport

/// Files with a backing chain in them, the log of what is done to them, and what must hold at each
/// point of it.
///
/// Isolation: one thread; the log may grow on others.
package final class CrashScene {
  /// What the world is told, and may rely on from then on.
  package enum Answer: String, CaseIterable, Sendable {
    /// The name of the event.
    case completed = "BLOCK_JOB_COMPLETED"
    case flushed = "flush"
    case resized = "resize"
    case emptied = "make-empty"
    case reopened = "reopening for reading only"
    case linked = "change of the backing file"
    case created = "create"
    case repaired = "repair"
    case refused = "refusal to write to a corrupt image"
  }

  /// The files, the base first.
  package let names: [String]
  package let log = StorageLog()
  /// A flush that the engine leaves out.
  package let elided: FlushPlace?
  /// The memory for the tables of all images.
  private let budget: CacheBudget
  /// The least run that goes from file to file in a commit; nil for what the engine says.
  let fileRunBytes: Int?
  /// A file as the operation has it, and what it holds at a moment.
  struct File: Sendable {
    var storage: any Storage
    var image: @Sendable () throws -> CrashImage
    /// How many bytes came into it from other files, past the process.
    var copiedBytes: @Sendable () -> Int = { 0 }
  }
  private let files: [File]
  /// The files when the log began.
  package let initial: [CrashImage]
  /// What the internal snapshots held then: nothing that is done changes any.
  private let snapshots: [String: CrashSnapshots]
  /// From which position of the log on what is expected.
  package private(set) var expectations: [(position: Int, expected: CrashExpectation)] = []

  /// The images of `chain`, the base first, as they are.
  package init(
    _ chain: [(name: String, image: CrashImage)], eliding elided: FlushPlace? = nil,
    budget: CacheBudget = CacheBudget(), fileRunBytes: Int? = nil
  ) {
    names = chain.map(\.name)
    initial = chain.map(\.image)
    snapshots = CrashScene.snapshots(of: chain)
    let log = log
    files = chain.map { (name, image) in
      let storage = CrashStorage(image, name: name)
      let recorded = RecordingStorage(storage, log: log)
      // The one flush of a raw image is the one that its caller asks for.
      let isFlushed = image.isQcow2 || elided != .asked
      return File(
        storage: isFlushed ? recorded : UnflushedStorage(base: recorded),
        image: { storage.image }, copiedBytes: { recorded.copiedBytes })
    }
    self.elided = elided
    self.budget = budget
    self.fileRunBytes = fileRunBytes
  }

  /// The images of `chain` in these files, of which nothing is recorded.
  init(
    _ chain: [(name: String, image: CrashImage)], in files: [File], budget: CacheBudget,
    fileRunBytes: Int?
  ) {
    names = chain.map(\.name)
    initial = chain.map(\.image)
    snapshots = CrashScene.snapshots(of: chain)
    self.files = files
    elided = nil
    self.budget = budget
    self.fileRunBytes = fileRunBytes
  }

  private static func snapshots(
    of chain: [(name: String, image: CrashImage)]
  ) -> [String: CrashSnapshots] {
    var all: [String: CrashSnapshots] = [:]
    for file in chain { all[file.name] = CrashSnapshots(file.image) }
    return all
  }

  /// The name of the image that the guest uses.
  package var top: String { names[names.count - 1] }

  /// The qcow2 image at `index`, the base being 0, on a storage that records.
  package func open(_ index: Int) throws(BlockError) -> Qcow2Image {
    try Qcow2Image.open(
      on: storage(index), readOnly: false, dropBitmaps: true, budget: budget, eliding: elided)
  }

  /// The qcow2 image at `index`, open for reading only.
  func openReadOnly(_ index: Int) throws(BlockError) -> Qcow2Image {
    try Qcow2Image.open(on: storage(index), readOnly: true, budget: budget, eliding: elided)
  }

  /// The image at `index`, of whichever format.
  func openDriver(_ index: Int, readOnly: Bool) throws(BlockError) -> any ImageDriver {
    guard initial[index].isQcow2 else {
      return try RawImage.open(on: storage(index), readOnly: readOnly)
    }
    return readOnly ? try openReadOnly(index) : try open(index)
  }

  /// The file at `index`; what happens to it is in the log.
  package func storage(_ index: Int) -> any Storage { files[index].storage }

  /// The files as they are now.
  package var oracle: CrashOracle {
    get throws { CrashOracle(names, try files.map { try $0.image() }) }
  }

  /// What a user of the image `name` sees now, all of it durable.
  package func view(_ name: String) throws -> CrashView { CrashView(try oracle.disk(name)) }

  /// How long the file at `index` is now.
  func length(_ index: Int) throws(BlockError) -> Int { try files[index].storage.size() }

  /// How many bytes went from file to file, past the process; only where something is recorded.
  package var copiedBytes: Int { files.reduce(0) { $0 + $1.copiedBytes() } }

  /// Notes that the world is told of something: what has just been expected is durable.
  package func tell(_ answer: Answer) { log.append(.note(answer.rawValue)) }

  /// From now on this must hold.
  package func expect(_ expected: CrashExpectation) {
    expect(expected, from: log.entries.count)
  }

  /// From `position` of the log on this must hold, and what the images say of themselves, and what
  /// their snapshots hold.
  package func expect(_ expected: CrashExpectation, from position: Int) {
    var expected = expected
    for (name, image) in zip(names, initial) where image.hasAutoclearBits {
      expected.untouched[name] = image
    }
    let anew = expected.anew
    expected.snapshots = snapshots.filter { !anew.contains($0.key) }
    if expectations.last?.position == position { expectations.removeLast() }
    expectations.append((position, expected))
  }

  /// When the last expectation before `position` of the log began: equal where the same is
  /// expected.
  func era(at position: Int) -> Int {
    expectations.last { $0.position <= position }?.position ?? -1
  }

  /// What must hold when `position` entries of the log have happened.
  package func expectation(at position: Int) -> CrashExpectation? {
    expectations.last { $0.position <= position }?.expected
  }
}

extension FlushPlace {
  /// What a caller's flush asks for, of an image of either format.
  static let asked = FlushPlace(.final, in: "flush()")
}

/// A storage of which nothing is made durable.
///
/// Isolation: any thread.
private final class UnflushedStorage: WrappingStorage {
  let base: any Storage
  init(base: any Storage) { self.base = base }
  func flush() throws(BlockError) {}
}
