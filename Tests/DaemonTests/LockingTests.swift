import QMP
import QMPClient
import TestSupport
import Testing

/// What `locking` of a file node says, with QEMU's programs on the other side.
@Suite("The locks of a file are those that its node asks for")
struct LockingTests {
  private let stage: DaemonStage

  init() throws { stage = try DaemonStage() }

  /// Opens `name` alone, with its file locked so.
  private func open(
    _ name: String, _ locking: OnOffAuto, _ change: (inout BlockdevOptions) -> Void = { _ in }
  ) throws {
    try stage.client.execute(call(name, locking, change))
  }

  private func call(
    _ name: String, _ locking: OnOffAuto, _ change: (inout BlockdevOptions) -> Void = { _ in }
  ) -> BlockdevAdd {
    var file = FileOptions(filename: stage.path(name))
    file.locking = locking
    let image = Qcow2Options(
      file: .options(BlockdevOptions(.file(file))), backing: BackingReference.none)
    var options = BlockdevOptions(.qcow2(image), nodeName: name)
    change(&options)
    return BlockdevAdd(options)
  }

  @Test("on and auto keep QEMU out, off does not", arguments: [OnOffAuto.on, .auto, .off])
  func others(locking: OnOffAuto) throws {
    try open("base", locking)
    let writes = try QemuTools.io(stage.path("base"), "write -P 9 1M 64k")
    #expect((writes.status == 0) == (locking == .off), "\(writes.output)")
    let reads = try QemuTools.img("check", stage.path("base"))
    #expect((reads.status == 0) == (locking == .off), "\(reads.output)")
  }

  @Test("off opens what a writer holds, on and auto do not; the error names the writer")
  func held() throws {
    let holder = try ImageHolder("-f", "qcow2", stage.path("base"))
    for locking in [OnOffAuto.on, .auto] {
      let error = try stage.refusal(of: call("base", locking))
      #expect(error.description.contains("process \(holder.pid) (qemu-io)"), "\(error)")
    }
    try open("base", .off) { $0.readOnly = true }
    holder.release()
  }

  @Test("a commit leaves the lock of a base with locking off alone")
  func commit() throws {
    let base = call("base", .off) { $0.readOnly = true }
    try stage.client.execute(base)
    var overlay = Qcow2Options(
      file: .options(BlockdevOptions(.file(FileOptions(filename: stage.path("middle"))))))
    overlay.backing = .reference(.node("base"))
    try stage.client.execute(BlockdevAdd(BlockdevOptions(.qcow2(overlay), nodeName: "overlay")))
    try stage.readyCommit("j")
    #expect(try QemuTools.img("info", stage.path("base")).status == 0)
    #expect(try QemuTools.img("info", stage.path("middle")).status != 0)
    try stage.client.execute(JobComplete { $0.id = "j" })
    #expect(try stage.wait("j").error == nil)
    try stage.stop(checking: ["base", "middle"])
  }
}
