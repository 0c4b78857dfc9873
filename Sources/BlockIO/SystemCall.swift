import BlockCore
import Glibc

/// The one way from this target into the kernel.
enum SystemCall {
  /// The result of `body`, a system call that says -1 and sets `errno` when it fails. A call that a
  /// signal interrupted is made again. Any other failure is thrown, as one of `file` and of the
  /// byte `offset` in it where they are given.
  ///
  /// A descriptor or an address that the kernel does not know is a mistake of ours: it traps.
  @discardableResult
  static func run<T: SignedInteger>(
    on file: String? = nil, at offset: Int? = nil, _ body: () -> T
  ) throws(BlockError) -> T {
    while true {
      let result = body()
      if result != -1 { return result }
      let number = errno
      if number == EINTR { continue }
      precondition(number != EBADF && number != EFAULT, "a system call got a bad argument")
      throw error(number, on: file, at: offset)
    }
  }

  /// The bytes that a request of a ring at byte `offset` of `file` has moved: `result`, or none
  /// where only a plain call can tell what there is to say. Throws where it is another negative
  /// error number.
  static func count(
    _ result: Int32, on file: String, at offset: Int
  ) throws(BlockError) -> Int {
    if result >= 0 { return Int(result) }
    switch -result {
    case EINTR, EAGAIN, ECANCELED, EINVAL, EOPNOTSUPP: return 0
    default:
      precondition(result != -EBADF && result != -EFAULT, "a request got a bad argument")
      throw error(-result, on: file, at: offset)
    }
  }

  /// The error that stands for an error number of a call on `file`, at the byte `offset` in it.
  static func error(_ number: Int32, on file: String?, at offset: Int? = nil) -> BlockError {
    BlockError(
      code(for: number), unsafe String(cString: strerror(number)), errno: number, file: file,
      offset: offset)
  }

  private static func code(for number: Int32) -> BlockError.Code {
    switch number {
    case ENOSPC, EDQUOT, EFBIG: .noSpace
    case EACCES, EPERM: .permission
    case ENOENT: .notFound
    case EROFS: .readOnly
    case ENAMETOOLONG: .invalidArgument
    default: .io
    }
  }
}

extension BlockError {
  /// Whether the system said that it cannot do this here, as opposed to having tried and failed.
  /// `EINVAL` is among these numbers because file systems use it for a range that they cannot take.
  var meansUnsupported: Bool {
    switch errno {
    case EOPNOTSUPP, ENOSYS, ENOTTY, EINVAL, EXDEV: true
    default: false
    }
  }
}
