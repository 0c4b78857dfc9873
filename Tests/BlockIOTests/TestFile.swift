import Glibc
import Testing

/// What the system says of a file, beside what the code under test says.
enum TestFile {
  /// The bytes that it takes on the disk.
  static func allocated(_ path: String) throws -> Int {
    var status = stat()
    try #require(stat(path, &status) == 0)
    return Int(status.st_blocks) * 512
  }
}
