import Foundation
import QMP
import QMPClient
import TestSupport
import Testing

/// An XFS of its own, in a file: a place where files can share their blocks.
///
/// Isolation: one test.
private final class SharingDisk {
  /// Whether this user may have one.
  static let isPossible = (try? SharingDisk()) != nil

  let directory: TemporaryDirectory
  /// Where it is mounted.
  var path: String { directory.file("mount") }

  init() throws {
    directory = try TemporaryDirectory()
    let disk = directory.file("disk")
    for command in [
      ["truncate", "-s", "512M", disk], ["mkfs.xfs", "-q", disk], ["mkdir", path],
      ["mount", "-o", "loop", disk, path],
    ] {
      let outcome = try QemuTools.run(command[0], Array(command.dropFirst()))
      guard outcome.status == 0 else { throw CocoaError(.fileWriteUnknown) }
    }
  }

  deinit { _ = try? QemuTools.run("umount", ["-l", path]) }
}

@Suite("Files that can share their blocks")
struct SharedBlocksTests {
  @Test(
    "a commit copies no byte, be its runs long or short: base and overlay share the blocks",
    .enabled(if: SharingDisk.isPossible, "takes root, mkfs.xfs and the right to mount a file"),
    arguments: ["qcow2", "raw"], [32 << 20, 64 << 10])
  func commit(format: String, run: Int) throws {
    let disk = try SharingDisk()
    let chain = try ImageChain(in: disk.path)
    try chain.add("base", ImageShape(size: 64 << 20, format: format))
    // Runs that lie apart on the disk, and in the file: those in between are not written again.
    let runs = run >= 1 << 20 ? 1 : 64
    let writes = (0..<runs).map { index in
      "write -P \(7 + index) \((8 << 20) + (index * 37 % runs) * 512 * 1024) \(run)"
    }
    try chain.add("top", ImageShape(size: 64 << 20), over: "base", commands: writes)
    let view = try chain.view("top")
    // A clone of data that are not on the disk yet would wait for them.
    try chain.succeed("sync", [chain.path("top")])
    let daemon = try DaemonProcess.start()
    let client = try daemon.client()
    try client.add("base", chain.path("base"), format: format) { $0.readOnly = true }
    try client.add("top", chain.path("top"), backing: .reference(.node("base")))
    #expect(try client.commit("top").error == nil)
    #expect(daemon.stop() == 0)
    #expect(try sharedBytes(of: chain.path("base")) >= runs * run)
    #expect(try chain.shows("base", view))
    try chain.checkSound()
  }

  /// The bytes of the file `path` that other files hold as well, as `filefrag` lists them.
  private func sharedBytes(of path: String) throws -> Int {
    let outcome = try QemuTools.run("filefrag", ["-v", "-b1024", path])
    try #require(outcome.status == 0, "\(outcome.output)")
    return outcome.output.split(separator: "\n").reduce(0) { sum, line in
      let fields = line.split(separator: ":")
      guard fields.count >= 5, fields.last?.contains("shared") == true else { return sum }
      return sum + (Int(fields[3].filter(\.isNumber)) ?? 0) * 1024
    }
  }
}
