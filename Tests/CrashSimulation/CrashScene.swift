package import BlockCore
package import ImageFormats
package import TestSupport

/// Files with a backing chain in them, the log of what is done to them, and what must hold at each
/// point of it.
///
/// Isolation: one thread; the log may grow on others.
package final class CrashScene {
  /// The files, the base first.
  package let names: [String]
  package let log = StorageLog()
  /// A flush that the engine leaves out.
  package let elided: FlushPoint?
  private let storages: [CrashStorage]
  /// The files when the log began.
  package let initial: [CrashImage]
  /// From which position of the log on what is expected.
  package private(set) var expectations: [(position: Int, expected: CrashExpectation)] = []

  /// The images of `chain`, the base first, as they are.
  package init(_ chain: [(name: String, image: CrashImage)], eliding elided: FlushPoint? = nil) {
    names = chain.map(\.name)
    initial = chain.map(\.image)
    storages = chain.map { CrashStorage($0.image, name: $0.name) }
    self.elided = elided
  }

  /// The name of the image that the guest uses.
  package var top: String { names[names.count - 1] }

  /// Whether the top has version 3's feature bits.
  var isVersion3: Bool { initial[names.count - 1][7] == 3 }

  /// The image at `index`, the base being 0, on a storage that records.
  package func open(_ index: Int) throws(BlockError) -> Qcow2Image {
    try Qcow2Image.open(on: storage(index), readOnly: false, dropBitmaps: true, eliding: elided)
  }

  /// The image at `index`, to be read only.
  func openQuietly(_ index: Int) throws(BlockError) -> Qcow2Image {
    try Qcow2Image.open(on: storages[index], readOnly: true)
  }

  /// The file at `index`, recorded.
  package func storage(_ index: Int) -> RecordingStorage {
    RecordingStorage(storages[index], log: log)
  }

  /// The files as they are now.
  package var oracle: CrashOracle { CrashOracle(names, storages.map(\.image)) }

  /// What the guest sees now.
  package func view(_ name: String) throws -> CrashView {
    let (size, bytes) = try oracle.view(name)
    return CrashView(size: size, bytes)
  }

  /// How long the file `name` is now.
  package func length(_ name: String) -> Int {
    storages.first { $0.name == name }?.image.size ?? 0
  }

  /// From now on this must hold.
  package func expect(_ expected: CrashExpectation) {
    expect(expected, from: log.entries.count)
  }

  /// From `position` of the log on this must hold.
  package func expect(_ expected: CrashExpectation, from position: Int) {
    if expectations.last?.position == position { expectations.removeLast() }
    expectations.append((position, expected))
  }

  /// What must hold when `position` entries of the log have happened.
  package func expectation(at position: Int) -> CrashExpectation? {
    expectations.last { $0.position <= position }?.expected
  }
}
