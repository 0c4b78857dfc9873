import Foundation
import Testing

/// What the system says of files, beside what the code under test says.
enum TestFile {
  /// The bytes that the file `path` takes on the disk.
  static func allocated(_ path: String) throws -> Int {
    var status = stat()
    try #require(stat(path, &status) == 0)
    return Int(status.st_blocks) * 512
  }

  /// The bytes of the file `inode` that are locked by open file descriptions, in their order.
  static func lockedBytes(inode: UInt64) throws -> [Int] {
    // Not /proc/locks: that is read in pieces, and locks of others come and go between them.
    let directory = "/proc/self/fdinfo"
    var bytes: Set<Int> = []
    for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
      // A descriptor of another test may be closed meanwhile.
      let text = (try? String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8)) ?? ""
      for line in text.split(separator: "\n") {
        let fields = line.split { $0 == " " || $0 == "\t" }
        guard fields.count == 9, fields[2] == "OFDLCK", fields[6].hasSuffix(":\(inode)"),
          let first = Int(fields[7]), let last = Int(fields[8])
        else { continue }
        bytes.formUnion(first...last)
      }
    }
    return bytes.sorted()
  }
}
