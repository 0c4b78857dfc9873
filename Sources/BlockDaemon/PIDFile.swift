import BlockCore
import BlockIO
import Glibc

/// A file with the process's number, there as long as the daemon runs.
///
/// Isolation: value.
struct PIDFile {
  private let path: String

  /// Writes the file. Throws what creating and writing throw.
  init(_ path: String) throws(BlockError) {
    self.path = path
    let file = try HostFile.create(try FileName(path), HostFileOptions(locking: .off))
    do throws(BlockError) {
      try file.truncate(to: 0)
      try Array("\(getpid())\n".utf8).withBytes { (bytes) throws(BlockError) in
        try file.write(bytes, at: 0)
      }
    } catch {
      try? file.close()
      throw error
    }
    try file.close()
  }

  /// Removes the file.
  func remove() { _ = unsafe unlink(path) }
}
