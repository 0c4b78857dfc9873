import BlockCore
import Glibc

extension BlockError {
  /// The error of the system call that has just failed, with what was being done.
  static func socket(
    _ doing: String, file: String? = nil, errno number: Int32 = Glibc.errno
  ) -> BlockError {
    let code: Code =
      switch number {
      case EACCES, EPERM: .permission
      case ENOENT: .notFound
      default: .io
      }
    let reason = unsafe String(cString: strerror(number))
    return BlockError(code, "\(doing): \(reason)", errno: number, file: file)
  }
}
