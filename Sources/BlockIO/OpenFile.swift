import BlockCore
import CLinux
import Glibc

/// One open file description; the system forgets it when the last user of this object lets go, so
/// that a number can never name another file under an operation that still runs.
///
/// Isolation: any thread; immutable.
final class OpenFile: Sendable {
  /// The number of the descriptor.
  let descriptor: Int32
  /// The name that stands in errors.
  let name: String
  /// The set of passed descriptors that it was opened from; nil where its name was opened.
  private let loan: DescriptorLoan?

  /// Takes over `descriptor`.
  init(owning descriptor: Int32, name: String, loan: DescriptorLoan? = nil) {
    self.descriptor = descriptor
    self.name = name
    self.loan = loan
  }

  /// A second descriptor of the same description as `descriptor`.
  static func duplicate(
    of descriptor: Int32, name: String, loan: DescriptorLoan? = nil
  ) throws(BlockError) -> OpenFile {
    let number = try SystemCall.run(on: name) { fcntl(descriptor, F_DUPFD_CLOEXEC, 0) }
    return OpenFile(owning: number, name: name, loan: loan)
  }

  // Linux has freed the number whatever `close` returns; what a late error could say, `flush` has
  // said before.
  deinit { _ = close(descriptor) }

  /// Never inherited by a child, never waits for a FIFO's other end, never becomes our terminal.
  private static let safeFlags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY

  /// Finds the file without opening it, so that nothing can happen to it or to us before its type
  /// is known.
  static func find(_ name: FileName) throws(BlockError) -> OpenFile {
    let descriptor = try SystemCall.run(on: name.text) {
      unsafe name.withCString { unsafe open($0, cl_O_PATH | O_CLOEXEC) }
    }
    return OpenFile(owning: descriptor, name: name.text)
  }

  /// Makes the empty file `name` in `directory`, the one that the name stands in, and makes the new
  /// name durable; fails with `EEXIST` if there is one, be it a symbolic link.
  static func make(_ name: FileName, in directory: OpenFile) throws(BlockError) {
    let place = "/proc/self/fd/\(directory.descriptor)"
    let path = try FileName(bytes: Array("\(place)/".utf8) + name.lastComponent)
    let made = try SystemCall.run(on: name.text) {
      unsafe path.withCString { unsafe open($0, O_RDWR | O_CREAT | O_EXCL | safeFlags, 0o644) }
    }
    _ = OpenFile(owning: made, name: name.text)
    let readable = try SystemCall.run(on: directory.name) {
      unsafe open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    }
    let synced = OpenFile(owning: readable, name: directory.name)
    try SystemCall.run(on: synced.name) { fsync(synced.descriptor) }
  }

  /// Opens the same file again, whatever its name stands for by now; one that came from a set, from
  /// there.
  func reopened(readOnly: Bool, direct: Bool) throws(BlockError) -> OpenFile {
    if let loan { return try loan.reopened(readOnly: readOnly, direct: direct) }
    return try reopened(readOnly: readOnly, direct: direct, name: name, nil)
  }

  /// Opens the same file again as this process may, under another name for errors.
  func reopened(
    readOnly: Bool, direct: Bool, name: String, _ loan: DescriptorLoan?
  ) throws(BlockError) -> OpenFile {
    let access = (readOnly ? O_RDONLY : O_RDWR) | (direct ? cl_O_DIRECT : 0)
    let path = "/proc/self/fd/\(descriptor)"
    let number = try SystemCall.run(on: name) { unsafe open(path, access | OpenFile.safeFlags) }
    return OpenFile(owning: number, name: name, loan: loan)
  }

  /// Where the file lies, without symbolic links on the way, as the system names it at this moment;
  /// nil where it cannot tell. Does not wait for a disk.
  func place() -> [UInt8]? {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = unsafe readlink("/proc/self/fd/\(descriptor)", &bytes, bytes.count)
    guard count > 0, count < bytes.count, bytes[0] == CChar(UInt8(ascii: "/")) else { return nil }
    return bytes[..<count].map(UInt8.init(bitPattern:))
  }

  /// Whether it is open for reading and writing. Throws `invalidArgument` where it cannot be read,
  /// or only appended to.
  func isWritable() throws(BlockError) -> Bool {
    let flags = try SystemCall.run(on: name) { cl_status_flags(descriptor) }
    let access = flags & O_ACCMODE
    guard flags & (cl_O_PATH | O_APPEND) == 0, access == O_RDONLY || access == O_RDWR else {
      throw BlockError(
        .invalidArgument,
        "The \(name) is neither open for reading only nor for reading and writing "
          + "in place")
    }
    return access == O_RDWR
  }

  /// Lets requests pass the page cache by, or not, also those of others who share the description.
  func setDirect(_ direct: Bool) throws(BlockError) {
    let flags = try SystemCall.run(on: name) { cl_status_flags(descriptor) }
    let wanted = direct ? flags | cl_O_DIRECT : flags & ~cl_O_DIRECT
    guard wanted != flags else { return }
    try SystemCall.run(on: name) { fcntl(descriptor, F_SETFL, wanted) }
  }

  /// What the system knows about the file.
  func status() throws(BlockError) -> stat {
    var status = stat()
    try SystemCall.run(on: name) { unsafe fstat(descriptor, &status) }
    return status
  }

  /// Reads until `bytes` is full or the file ends, and returns how many bytes came. With direct I/O
  /// everything is a multiple of `alignment`, and a count that is not can only be the end.
  func read(
    into bytes: UnsafeMutableRawBufferPointer, at offset: Int, alignment: Int
  ) throws(BlockError) -> Int {
    var done = 0
    while done < bytes.count {
      let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[done...])
      let count = try SystemCall.run(on: name, at: offset + done) {
        unsafe pread(descriptor, rest.baseAddress, rest.count, offset + done)
      }
      done += count
      if count == 0 || !count.isAligned(to: alignment) && alignment > 1 { break }
    }
    return done
  }

  /// Writes all of `bytes`.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(BlockError) {
    var done = 0
    while done < bytes.count {
      let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
      let count = try SystemCall.run(on: name, at: offset + done) {
        unsafe pwrite(descriptor, rest.baseAddress, rest.count, offset + done)
      }
      // Linux does not do this; if it did, another try would never end.
      guard count > 0 else { throw SystemCall.error(EIO, on: name, at: offset + done) }
      done += count
    }
  }
}
