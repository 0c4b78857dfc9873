import BlockCore
import BlockIO
import Glibc
import TestSupport
import Testing

/// What a failing system turns into.
@Suite struct HostFileFailureTests {
  @Test("no room, and a file that would be too large, are both no space")
  func noSpace() throws {
    let directory = try TemporaryDirectory()
    let file = try HostFile.create(FileName(directory.file("image")))
    let tooLarge = #expect(throws: BlockError.self) { try file.write([1], at: Int.max - 1) }
    #expect(tooLarge?.code == .noSpace && tooLarge?.errno == EFBIG && tooLarge?.file == file.name)
    try file.close()

    let memory = try TemporaryDirectory(in: "/dev/shm")
    let small = try HostFile.create(FileName(memory.file("image")))
    let full = #expect(throws: BlockError.self) {
      try small.writeZeroes(ByteRange(at: 0, length: 1 << 50), deallocate: false)
    }
    #expect(full?.code == .noSpace && full?.errno == ENOSPC)
    try small.close()
  }

  @Test("a request that fails says at which byte of the file")
  func offsets() throws {
    // The kernel takes only addresses of pages that this process has; there is none at zero.
    let memory = try HostFile.open(
      "/proc/self/mem", HostFileOptions(isReadOnly: true, locking: .off))
    let unread = #expect(throws: BlockError.self) {
      try memory.read(ByteRange(at: 4096, length: 1))
    }
    #expect(unread?.errno == EIO && unread?.file == memory.name && unread?.offset == 4096)
    try memory.close()

    let place = try TemporaryDirectory()
    let large = try HostFile.create(FileName(place.file("image")))
    let tooLarge = #expect(throws: BlockError.self) { try large.write([1], at: Int.max - 1) }
    #expect(tooLarge?.offset == Int.max - 1)
    try large.close()

    let shared = try TemporaryDirectory(in: "/dev/shm")
    let file = try HostFile.create(FileName(shared.file("image")))
    let range = ByteRange(at: 8192, length: 1 << 50)
    let calls: [() throws -> Void] = [
      { try file.writeZeroes(range, deallocate: false) }, { try file.reserve(range) },
    ]
    for call in calls {
      let error = #expect(throws: BlockError.self) { try call() }
      #expect(error?.code == .noSpace && error?.offset == 8192, "\(error as Any)")
    }
    try file.close()
  }

  @Test("after a flush that failed nothing can be written, and nothing claims to be durable")
  func poison() throws {
    // The kernel can neither sync this file, nor does it mind being asked.
    let file = try HostFile.open("/proc/self/comm", HostFileOptions(locking: .off))
    let first = #expect(throws: BlockError.self) { try file.flush() }
    #expect(first?.code == .poisoned && first?.errno == EINVAL)
    #expect(first?.message.hasPrefix("An earlier") == false)
    let range = ByteRange(at: 0, length: 1)
    let later: [() throws -> Void] = [
      { try file.write([65], at: 0) }, { try file.flush() }, { try file.truncate(to: 0) },
      { try file.writeZeroes(range, deallocate: false) }, { try file.discard(range) },
      { try file.reopen(readOnly: true) }, { try file.close() },
    ]
    for call in later {
      let error = #expect(throws: BlockError.self) { try call() }
      #expect(error?.code == .poisoned && error?.errno == EINVAL)
    }
  }

  @Test("a file that is only read and knows no sync holds nothing that is not durable")
  func unsynced() throws {
    let options = HostFileOptions(isReadOnly: true, locking: .off)
    let file = try HostFile.open("/proc/self/comm", options)
    try file.makeDurable()
    try file.close()
  }

  @Test("without flushing nothing is asked of the disk")
  func noFlush() throws {
    let options = HostFileOptions(noFlush: true, locking: .off)
    let file = try HostFile.open("/proc/self/comm", options)
    try file.flush()
    try file.close()
  }

  @Test("a use after the close is a mistake of ours, and ends the process")
  func useAfterClose() async {
    await #expect(processExitsWith: .failure) {
      // A process that crashes could not remove a file of its own.
      let file = try HostFile.open(
        "/proc/self/comm", HostFileOptions(isReadOnly: true, locking: .off))
      try file.close()
      _ = try file.size()
    }
  }
}
