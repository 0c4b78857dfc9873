import BlockCore
import CLinux
import Glibc

/// QEMU's image locks on one open file: a read lock on a byte says that a permission is used, or
/// that it is not shared; a write lock is never set but only tried, to see who is there.
///
/// Bytes are locked first and tested second. So of two who come at the same time both may fail, but
/// never both succeed. The locks belong to the open file description: another description of the
/// same process is a stranger.
///
/// Isolation: value; its owner guards it.
struct ImageLock {
  /// What is claimed at this moment.
  private(set) var claim = LockClaim.nothing

  /// Whether this system has locks of open file descriptions.
  static func isSupported(on file: OpenFile) throws(BlockError) -> Bool {
    do {
      try SystemCall.run(on: file.name) { cl_ofd_would_clash(file.descriptor, 0, 0) }
      return true
    } catch let error where error.errno == EINVAL {
      return false
    }
  }

  /// Claims `new` instead of what was claimed so far. Fails with `locked` when somebody else is in
  /// the way, and then the old claim stands: nothing is given up before all is got.
  mutating func change(to new: LockClaim, on file: OpenFile) throws(BlockError) {
    let added = new.lockedBytes.subtracting(claim.lockedBytes)
    do {
      try ImageLock.set(added, on: file)
      if !added.isEmpty { try ImageLock.test(new, on: file) }
    } catch {
      ImageLock.drop(added, on: file)
      throw error
    }
    ImageLock.drop(claim.lockedBytes.subtracting(new.lockedBytes), on: file)
    claim = new
  }

  /// Claims `new` on `file`, a second description of the file that `old` is, and gives up the locks
  /// of `old`. All is got through `old` first, and only then set on `file`, untested: what `old`
  /// holds would look like somebody else's. At no moment is the image without the locks that both
  /// claims have in common.
  mutating func move(to new: LockClaim, on file: OpenFile, from old: OpenFile) throws(BlockError) {
    let before = claim
    try change(to: before.joined(new), on: old)
    do {
      try ImageLock.set(new.lockedBytes, on: file)
    } catch {
      try change(to: before, on: old)
      throw error
    }
    release(on: old)
    claim = new
  }

  /// Gives up everything.
  mutating func release(on file: OpenFile) {
    ImageLock.drop(claim.lockedBytes, on: file)
    claim = .nothing
  }

  private static func set(_ bytes: Set<Int>, on file: OpenFile) throws(BlockError) {
    for byte in bytes.sorted() {
      do {
        try SystemCall.run(on: file.name) {
          cl_ofd_set(file.descriptor, Int32(F_RDLCK), Int64(byte), 1)
        }
      } catch let error where error.errno == EAGAIN || error.errno == EACCES {
        throw conflict("Failed to lock byte \(byte)", byte, on: file)
      }
    }
  }

  private static func test(_ claim: LockClaim, on file: OpenFile) throws(BlockError) {
    for (byte, complaint) in claim.testedBytes {
      let clash = try SystemCall.run(on: file.name) {
        cl_ofd_would_clash(file.descriptor, Int64(byte), 1)
      }
      if clash != 0 { throw conflict(complaint, byte, on: file) }
    }
  }

  // Giving up a lock that one holds cannot fail; on a file system where it did, closing would help.
  private static func drop(_ bytes: Set<Int>, on file: OpenFile) {
    for byte in bytes { _ = cl_ofd_set(file.descriptor, Int32(F_UNLCK), Int64(byte), 1) }
  }

  private static func conflict(_ complaint: String, _ byte: Int, on file: OpenFile) -> BlockError {
    let holders = LockHolder.find(byte: byte, of: file).map(\.description)
    let who = holders.isEmpty ? "another process" : holders.joined(separator: " and ")
    return BlockError(
      .locked, "\(complaint): \(who) is using the image [\(file.name)]", file: file.name)
  }
}
