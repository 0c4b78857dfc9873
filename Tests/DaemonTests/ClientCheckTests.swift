import Foundation
import TestSupport
import Testing

@Suite("qblockctl check")
struct ClientCheckTests {
  /// Ways to damage an image of one 64 KiB cluster table, as offsets and bytes.
  static let damages: [String: [(offset: Int, bytes: [UInt8])]] = [
    "nothing": [],
    // Refcounts of clusters 5 and 6, in the block at cluster 2.
    "leaks only": [(0x2_0000 + 2 * 5, [0, 9]), (0x2_0000 + 2 * 20, [0, 2])],
    "damage": [(0x2_0000 + 2 * 6, [0, 0])],
    "damage and leaks": [(0x2_0000 + 2 * 7, [0, 0]), (0x2_0000 + 2 * 30, [0, 2])],
    "a data cluster past the end": [(0x4_0000, [0x80, 0, 0x10, 0, 0, 0, 0, 0])],
  ]

  private func stage(_ damage: String) throws -> ClientStage {
    try MalformedImages.refuseRoot()
    let stage = try ClientStage()
    try stage.makeChain(["64M"])
    try stage.write("base", "write 0 1M", "write 3M 64k", "write 10M 2M", "discard 1M 1M")
    var image = try stage.directory.read("base")
    for (offset, bytes) in Self.damages[damage] ?? [] {
      image.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
    try stage.directory.write(image, to: "base")
    return stage
  }

  @Test(
    "says and returns what qemu-img does, in both forms", arguments: damages.keys.sorted(),
    ["human", "json"])
  func sameAnswer(damage: String, form: String) throws {
    let stage = try stage(damage)
    let theirs = try QemuTools.run(
      "sh",
      [
        "-c", "cd \"$0\" && qemu-img check --output=\(form) base 2>/dev/null", stage.directory.path,
      ])
    let ours = try stage.ctl("check", "--output", form, "base")
    #expect(ours.output == theirs.output)
    #expect(ours.status == theirs.status)
    #expect(try stage.done("nodes", "--json") == "[]\n")
  }

  @Test(
    "a repair says and returns what qemu-img's does, and leaves a clean image",
    arguments: ["nothing", "leaks only", "damage", "damage and leaks"], ["leaks", "all"])
  func repair(damage: String, fix: String) throws {
    // QEMU gives up on leaks beside damage, instead of freeing them.
    if fix == "leaks" && damage.hasPrefix("damage") { return }
    let stage = try stage(damage)
    try stage.directory.write(try stage.directory.read("base"), to: "theirs")
    let theirs = try QemuTools.run(
      "sh",
      [
        "-c", "cd \"$0\" && qemu-img check -r \(fix) theirs 2>/dev/null", stage.directory.path,
      ])
    let ours = try stage.ctl("check", "-r", fix, "base")
    #expect(ours.status == theirs.status)
    // Where refcounts are built anew, they may lie elsewhere.
    let end = "Image end offset"
    #expect(ours.output.prefix { $0 != "I" } == theirs.output.prefix { $0 != "I" })
    #expect(ours.output.contains(end))
    #expect(try stage.img("check", "base").status == 0)
    #expect(try stage.digest("base") == stage.digest("theirs"))
    #expect(try stage.done("check", "--repair", "all", "base").hasPrefix("No errors"))
  }

  @Test("leaks beside damage are freed, and the damage is still told")
  func leaksBesideDamage() throws {
    let stage = try stage("damage and leaks")
    let outcome = try stage.ctl("check", "-r", "leaks", "base")
    #expect(outcome.status == 2)
    #expect(outcome.output.contains("    1 leaked clusters\n    0 corruptions\n"))
  }

  @Test("faults are listed on standard error in QEMU's words")
  func findings() throws {
    let stage = try stage("damage and leaks")
    let ours = try stage.ctl("check", "-q", "base")
    #expect(ours.output == "")
    #expect(ours.errors.contains("ERROR cluster 7 refcount=0 reference=1\n"))
    #expect(ours.errors.contains("Leaked cluster 30 refcount=2 reference=1\n"))
  }

  @Test("a raw image has nothing to check: 63; one that cannot be opened: 1")
  func refusals() throws {
    let stage = try stage("nothing")
    try stage.directory.write([UInt8](repeating: 0, count: 4096), to: "disk.raw")
    let raw = try stage.ctl("check", "-f", "raw", "disk.raw")
    #expect(raw.status == 63)
    #expect(raw.errors == "qblockctl: This image format does not support checks\n")
    let disk = stage.directory.file("disk.raw")
    #expect(try QemuTools.run("qemu-img", ["check", disk]).status == 63)
    let unsaid = try stage.ctl("check", "disk.raw")
    #expect(unsaid.status == 63)
    #expect(unsaid.errors.contains("give -f raw if it is a raw disk"))
    #expect(try stage.ctl("check", "none").status == 1)
    #expect(try stage.ctl("check", "-r", "some", "base").status == 1)
  }

  @Test("an overlay is checked without its backing file")
  func overlayAlone() throws {
    let stage = try ClientStage()
    try stage.makeChain(["64M", "64M"])
    try FileManager.default.removeItem(atPath: stage.directory.file("base"))
    #expect(try stage.done("check", "mid").hasPrefix("No errors were found on the image.\n"))
  }
}
