import BlockCore
import BlockIO
import Glibc
import TestSupport
import Testing

/// Locks, with QEMU on the other side.
@Suite struct ImageLockTests {
  let directory: TemporaryDirectory
  let path: String

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.file("image.qcow2")
    try #require(QemuTools.img("create", "-f", "qcow2", path, "1M").status == 0)
  }

  func refusal(_ options: HostFileOptions = .init()) -> BlockError? {
    #expect(throws: BlockError.self) { _ = try HostFile.open(path, options) }
  }

  @Test("while we write, QEMU neither writes nor reads, in its own words; after that it does")
  func weWrite() throws {
    let file = try HostFile.open(path)
    let info = try QemuTools.img("info", path)
    #expect(info.status != 0)
    #expect(info.output.contains(#"Failed to get shared "write" lock"#))
    let write = try QemuTools.io(path, "write 0 512")
    #expect(write.status != 0 && write.output.contains(#"Failed to get "write" lock"#))
    #expect(try QemuTools.img("info", "-U", path).status == 0)
    try file.close()
    #expect(try QemuTools.img("info", path).status == 0)
  }

  @Test("while we read, QEMU reads too but does not write")
  func weRead() throws {
    let file = try HostFile.open(path, HostFileOptions(isReadOnly: true))
    #expect(try QemuTools.img("check", path).status == 0)
    #expect(try QemuTools.io(path, "write 0 512").status != 0)
    try file.close()
    #expect(try QemuTools.io(path, "write 0 512").status == 0)
  }

  @Test("while QEMU writes, we neither write nor read, and say which process it is")
  func qemuWrites() throws {
    let holder = try ImageHolder("-f", "qcow2", path)
    let who = "process \(holder.pid) (qemu-io) is using the image [\(path)]"
    #expect(refusal()?.code == .locked)
    #expect(refusal()?.message == "Failed to get \"write\" lock: \(who)")
    let reading = HostFileOptions(isReadOnly: true)
    #expect(refusal(reading)?.message == "Failed to get shared \"write\" lock: \(who)")
    let forceShare = HostFileOptions(isReadOnly: true, forceShare: true)
    try HostFile.open(path, forceShare).close()
    try HostFile.open(path, HostFileOptions(locking: .off)).close()
    holder.release()
    try HostFile.open(path).close()
  }

  @Test("while QEMU reads, we read too but do not write")
  func qemuReads() throws {
    let holder = try ImageHolder("-r", "-f", "qcow2", path)
    #expect(refusal()?.code == .locked)
    try HostFile.open(path, HostFileOptions(isReadOnly: true)).close()
    holder.release()
  }

  @Test("a raw image that we write is closed to QEMU's raw writers too")
  func rawWriters() throws {
    let file = try HostFile.open(path)
    #expect(try QemuTools.io(path, format: "raw", "write 0 512").status != 0)
    try file.close()
    let holder = try ImageHolder("-f", "raw", path)
    #expect(refusal()?.code == .locked)
    holder.release()
  }

  @Test("two files of one process exclude each other, and the error says which process it is")
  func thisProcess() throws {
    let first = try HostFile.open(path)
    let message = try #require(refusal()?.message)
    #expect(message.hasPrefix(#"Failed to get "write" lock: process \#(getpid()) ("#))
    #expect(message.hasSuffix(" is using the image [\(path)]"))
    #expect(refusal()?.file == path)
    try first.close()
    let second = try HostFile.open(path)
    try second.close()
  }

  @Test("a reader that becomes a writer and a reader again excludes what each must")
  func upgrade() throws {
    let file = try HostFile.open(path, HostFileOptions(isReadOnly: true))
    try file.reopen(readOnly: false)
    #expect(try QemuTools.img("info", path).status != 0)
    try file.reopen(readOnly: true)
    #expect(try QemuTools.img("info", path).status == 0)
    #expect(try QemuTools.io(path, "write 0 512").status != 0)
    try file.close()
    #expect(try QemuTools.io(path, "write 0 512").status == 0)
  }

  @Test("an upgrade that another reader forbids fails, and what was held is still held")
  func refusedUpgrade() throws {
    let file = try HostFile.open(path, HostFileOptions(isReadOnly: true))
    let holder = try ImageHolder("-r", "-f", "qcow2", path)
    let error = #expect(throws: BlockError.self) { try file.reopen(readOnly: false) }
    #expect(error?.code == .locked)
    #expect(error?.message.contains("process \(holder.pid) (qemu-io)") == true)
    #expect(file.traits.isReadOnly)
    #expect(try QemuTools.img("info", path).status == 0)
    holder.release()
    #expect(try QemuTools.io(path, "write 0 512").status != 0)
    try file.reopen(readOnly: false)
    try file.close()
  }

  @Test("force-share goes with reading only")
  func forceShare() throws {
    #expect(refusal(HostFileOptions(forceShare: true))?.code == .invalidArgument)
    let file = try HostFile.open(path, HostFileOptions(isReadOnly: true, forceShare: true))
    #expect(
      #expect(throws: BlockError.self) { try file.reopen(readOnly: false) }?.code
        == .invalidArgument)
    try file.close()
  }

  @Test("a claim can be changed on an open file: an image being committed refuses new readers")
  func changedClaim() throws {
    let file = try HostFile.open(path, HostFileOptions(isReadOnly: true))
    var committed = LockClaim.reader
    committed.shares.remove(.consistentRead)
    try file.claim(committed)
    let check = try QemuTools.img("check", path)
    #expect(check.status != 0 && check.output.contains(#"Failed to get "consistent read" lock"#))
    try file.claim(.reader)
    #expect(try QemuTools.img("check", path).status == 0)
    let other = try HostFile.open(path, HostFileOptions(isReadOnly: true))
    let error = #expect(throws: BlockError.self) { try file.claim(committed) }
    #expect(error?.code == .locked)
    try other.close()
    #expect(try QemuTools.img("check", path).status == 0)
    try file.close()
  }

  @Test("a system without such locks is put up with only where nobody asked for them")
  func unsupported() throws {
    for isSupported in [true, false] {
      #expect(try HostFileOptions.Locking.automatic.takesLocks { isSupported } == isSupported)
    }
    #expect(try HostFileOptions.Locking.required.takesLocks { true })
    let error = #expect(throws: BlockError.self) {
      _ = try HostFileOptions.Locking.required.takesLocks { false }
    }
    #expect(error?.code == .unsupported)
    #expect(
      try !HostFileOptions.Locking.off.takesLocks {
        Issue.record("nobody needs to know")
        return true
      })
  }

  @Test("the permissions stand on QEMU's bytes")
  func bytes() throws {
    let expected: [(HostFileOptions, [Int])] = [
      (HostFileOptions(), [100, 101, 103, 201, 203]),
      (HostFileOptions(isReadOnly: true), [100, 201, 203]),
      (HostFileOptions(isReadOnly: true, forceShare: true), [100]),
      (HostFileOptions(locking: .required), [100, 101, 103, 201, 203]),
      (HostFileOptions(locking: .off), []),
      (HostFileOptions(isReadOnly: true, locking: .off, forceShare: true), []),
    ]
    let inode = try HostFile.identity(of: FileName(path)).inode
    for (options, bytes) in expected {
      let file = try HostFile.open(path, options)
      #expect(try TestFile.lockedBytes(inode: inode) == bytes)
      try file.close()
    }
  }
}
