import BlockCore
import Glibc

/// What a name stands for. Images live in the first two; the others are refused by name, because
/// opening or reading them can wait for ever or do something else entirely.
///
/// Isolation: value.
enum FileKind: String, Sendable {
  case regular = "a regular file"
  case blockDevice = "a block device"
  case directory = "a directory"
  case characterDevice = "a character device"
  case pipe = "a FIFO"
  case socket = "a socket"
  case symbolicLink = "a symbolic link"
  case other = "of an unknown type"

  /// The kind that `mode` of a file's status tells.
  init(mode: mode_t) {
    self =
      switch mode & S_IFMT {
      case S_IFREG: .regular
      case S_IFBLK: .blockDevice
      case S_IFDIR: .directory
      case S_IFCHR: .characterDevice
      case S_IFIFO: .pipe
      case S_IFSOCK: .socket
      case S_IFLNK: .symbolicLink
      default: .other
      }
  }

  /// Refuses everything that cannot hold an image.
  func requireImage(name: String) throws(BlockError) {
    guard self == .regular || self == .blockDevice else {
      throw BlockError(
        .invalidArgument, "'\(name)' is \(rawValue), not a regular file or block device",
        file: name)
    }
  }
}
