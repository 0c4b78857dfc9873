import BlockCore
import BlockIO
import Glibc

/// A file with the process's number, there as long as the daemon runs. It is locked meanwhile, so
/// that no other daemon takes a living one's file over.
///
/// Isolation: value.
struct PIDFile {
  private let path: String
  private let file: HostFile

  /// Writes the file. Throws what creating and writing throw, and `locked` while another daemon has
  /// it.
  init(_ path: String) throws(BlockError) {
    self.path = path
    do throws(BlockError) {
      file = try HostFile.create(try FileName(path))
    } catch {
      throw error.prefixed("--pid-file '\(path)'")
    }
    do throws(BlockError) {
      try file.truncate(to: 0)
      try Array("\(getpid())\n".utf8).withBytes { (bytes) throws(BlockError) in
        try file.write(bytes, at: 0)
      }
    } catch {
      try? file.close()
      throw error
    }
  }

  /// Removes the file. Nobody needs it durable, so what closing could fail with does not matter.
  func remove() {
    _ = unsafe unlink(path)
    try? file.close()
  }
}
