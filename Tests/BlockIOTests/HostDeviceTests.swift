import BlockCore
import BlockIO
import Foundation
import TestSupport
import Testing

/// A block device: a loop device over a file of the test. Needs root, and a kernel that has them.
@Suite(.enabled(if: LoopDevice.isAvailable))
struct HostDeviceTests {
  @Test(
    "a device keeps its length, reads and writes anywhere, and zeros whole blocks and parts",
    arguments: [false, true])
  func bytes(direct: Bool) throws {
    let loop = try LoopDevice(size: 1 << 20)
    let device = try HostFile.open(loop.path, HostFileOptions(direct: direct))
    #expect(device.traits.isDevice && device.traits.alignment == (direct ? 512 : 1))
    #expect(try device.size() == 1 << 20)
    var random = SeededGenerator(seed: 1)
    var model = random.bytes(1 << 20)
    try device.write(model, at: 0)
    for (range, deallocate) in [
      (ByteRange(at: 1000, length: 100), true), (ByteRange(at: 5000, length: 70_000), false),
      (ByteRange(at: 200_001, length: 300_000), true), (ByteRange(at: 1 << 19, length: 4096), true),
    ] {
      try device.writeZeroes(range, deallocate: deallocate)
      model.replaceSubrange(
        range.lower..<range.upper, with: [UInt8](repeating: 0, count: range.length))
    }
    try device.discard(ByteRange(at: 700_001, length: 100))
    try device.flush()
    #expect(try device.read(ByteRange(at: 0, length: 1 << 20)) == model)
    try device.discard(ByteRange(at: 700_001, length: 100_000))

    let whole = ByteRange(at: 0, length: 2 << 20)
    let extent = try device.extent(in: whole)
    #expect(extent == StorageExtent(range: ByteRange(at: 0, length: 1 << 20), isData: true))
    let error = #expect(throws: BlockError.self) { try device.truncate(to: 0) }
    #expect(error?.code == .unsupported)
    let full = #expect(throws: BlockError.self) { try device.write([1], at: 1 << 20) }
    #expect(full?.code == .noSpace)
    try device.close()
  }

  @Test("two names of a device have one identity, and QEMU keeps out while we write")
  func identityAndLock() throws {
    let loop = try LoopDevice(size: 1 << 20)
    let directory = try TemporaryDirectory()
    try FileManager.default.createSymbolicLink(
      atPath: directory.file("disk"), withDestinationPath: loop.path)
    let device = try HostFile.open(loop.path)
    #expect(try HostFile.identity(of: FileName(directory.file("disk"))) == device.identity)
    #expect(try QemuTools.io(loop.path, format: "raw", "write 0 512").status != 0)
    try device.close()
    #expect(try QemuTools.io(loop.path, format: "raw", "write 0 512").status == 0)
  }
}
