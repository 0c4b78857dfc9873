import BlockCore
import BlockIO
import ImageFormats
import TestSupport
import Testing

/// An image with the dirty bit set is repaired when it is opened for writing.
@Suite("check: an image that was not closed cleanly")
struct CheckDirtyTests {
  /// An image with late refcounts, as a killed QEMU leaves it.
  private func stage() throws -> CheckStage {
    let stage = try CheckStage()
    try stage.create("cluster_size=4k,lazy_refcounts=on", size: "16M")
    let killed = try QemuTools.run(
      "qemu-io",
      ["-f", "qcow2", stage.path, "-c", "write -P 7 0 300k", "-c", "flush", "-c", "abort"])
    try #require(killed.status != 0)
    try #require(stage.oracle()["corruptions"] != nil)
    return stage
  }

  @Test("reading leaves it as it is")
  func readOnly() throws {
    let stage = try stage()
    let before = try stage.bytes()
    let file = try HostFile.open(stage.path, HostFileOptions(isReadOnly: true))
    let image = try Qcow2Image.open(on: file, readOnly: true)
    #expect(try image.info().qcow2?.isDirty == true)
    try image.close()
    try file.close()
    #expect(try stage.bytes() == before)
  }

  @Test("opening for writing repairs it, at once or later", arguments: [true, false])
  func repairs(later: Bool) throws {
    let stage = try stage()
    let file = try HostFile.open(stage.path)
    let image = try Qcow2Image.open(on: file, readOnly: later)
    if later { try image.reopen(readOnly: false) }
    #expect(try image.info().qcow2?.isDirty == false)
    try [UInt8](repeating: 9, count: 70_000).withBytes { (bytes) throws(BlockError) in
      try image.write(bytes, at: 1 << 20, over: nil)
    }
    try image.close()
    try file.close()
    try stage.expectSameNumbers()
    #expect(try stage.check().isSound)
    try stage.io("read -P 7 0 300k", "read -P 9 1M 70000")
  }

  @Test("one with bitmaps is refused as it is, at once or later", arguments: [true, false])
  func refusesBitmaps(later: Bool) throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=4k", size: "16M")
    try stage.io("write -P 7 0 300k")
    try stage.img("bitmap", "--add", stage.path, "b")
    try stage.poke {
      $0.setRefcount(0, of: $0.cluster(3))
      $0.bytes[79] |= 1
    }
    let before = try stage.bytes()
    let file = try HostFile.open(stage.path)
    let error = #expect(throws: BlockError.self) {
      let image = try Qcow2Image.open(on: file, readOnly: later)
      try image.reopen(readOnly: false)
    }
    #expect(error?.message.contains("persistent bitmap") == true)
    try file.close()
    #expect(try stage.bytes() == before)
  }

  @Test("what cannot be repaired is refused, and stays dirty")
  func hopeless() throws {
    let stage = try stage()
    try stage.poke { $0.set(1 << 63 | 1 << 40, at: $0.entry(4)) }
    let file = try HostFile.open(stage.path)
    let error = #expect(throws: BlockError.self) {
      _ = try Qcow2Image.open(on: file, readOnly: false)
    }
    #expect(error?.code == .corrupt)
    #expect(error?.message.hasPrefix("Could not repair dirty image") == true)
    try file.close()
    #expect(try stage.bytes()[79] & 1 == 1)
  }
}
