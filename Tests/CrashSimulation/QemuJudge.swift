import TestSupport

/// Judges states by `qemu-img check` and `qemu-img compare`, so that no error is taken for right by
/// the engine and the oracle alike.
///
/// Isolation: one thread.
final class QemuJudge {
  private let scene: CrashScene
  private let directory: TemporaryDirectory
  /// What the files in the directory hold now.
  private var written: [String: UInt64] = [:]
  /// Images in which `qemu-img check` found nothing but leaks.
  private var sound: Set<UInt64> = []

  init(_ scene: CrashScene) throws {
    self.scene = scene
    directory = try TemporaryDirectory.inMemory()
    for image in scene.initial { sound.insert(image.hash) }
  }

  func judge(
    _ state: CrashSimulator.State, _ expected: CrashExpectation, _ oracle: CrashOracle
  ) throws {
    for (name, image) in zip(scene.names, state.images) { try write(image, to: name) }
    for (name, image) in zip(scene.names, state.images)
    where image.isQcow2 && !expected.unneeded.contains(name) && expected.repaired[name] == nil {
      if sound.contains(image.hash) { continue }
      let check = try QemuTools.img("check", "-q", "-f", "qcow2", directory.file(name))
      // A leak (3) is allowed.
      guard [0, 3].contains(check.status) else {
        throw CrashOracle.Fault.check("qemu-img check of \(name): \(check.output)")
      }
      sound.insert(image.hash)
    }
    // The other names of the backing file are not all of a format that it has.
    guard expected.links.isEmpty else { return }
    try write(oracle.disk(scene.top), to: "view")
    let compare = try QemuTools.img(
      "compare", "-f", "qcow2", "-F", "raw", directory.file(scene.top), directory.file("view"))
    guard compare.status == 0 else {
      throw CrashOracle.Fault.view("qemu-img compare: \(compare.output)")
    }
  }

  private func write(_ image: CrashImage, to name: String) throws {
    guard written[name] != image.hash else { return }
    try directory.write(image, to: name)
    written[name] = image.hash
  }
}
