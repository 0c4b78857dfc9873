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

  /// A socket that exists as the file `path`.
  static func listeningSocket(_ path: String) throws -> Int32 {
    let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    try #require(number != -1)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    try #require(path.utf8.count < MemoryLayout.size(ofValue: address.sun_path))
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    try #require(result == 0)
    return number
  }
}
