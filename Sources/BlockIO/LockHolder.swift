import BlockCore
import CLinux
import Glibc

/// A process that holds a lock on an image, so that an error can name it.
///
/// `/proc/locks` does not say who holds the lock of an open file description, but a process's
/// `fdinfo` lists the locks of each of its descriptors.
///
/// Isolation: value.
package struct LockHolder: Hashable, Sendable, CustomStringConvertible {
  /// The process.
  package let pid: Int32
  /// The name of its program; empty when it is not known.
  package let program: String

  package var description: String {
    program.isEmpty ? "process \(pid)" : "process \(pid) (\(program))"
  }

  /// Those who hold a lock over `byte` of `file`'s file through another descriptor. Never fails: it
  /// finds no one where it is not allowed to look.
  static func find(byte: Int, of file: OpenFile) -> [LockHolder] {
    guard let wanted = try? file.status() else { return [] }
    return numbers(in: "/proc").compactMap { pid in
      let holds = numbers(in: "/proc/\(pid)/fd").contains { number in
        if pid == Int(getpid()) && number == Int(file.descriptor) { return false }
        return refers("/proc/\(pid)/fd/\(number)", to: wanted)
          && locks(byte, inode: wanted.st_ino, "/proc/\(pid)/fdinfo/\(number)")
      }
      guard holds else { return nil }
      let program = (contents("/proc/\(pid)/comm") ?? []).prefix { $0 != UInt8(ascii: "\n") }
      return LockHolder(pid: Int32(pid), program: PrintableText.of(Array(program)))
    }
  }

  /// Whether a line of `fdinfo`, such as `lock:⇥1: OFDLCK  ADVISORY  READ -1 fe:00:1234 100 EOF`,
  /// tells of a lock over `byte` of `inode`.
  static func line(_ line: some StringProtocol, locks byte: Int, inode: UInt) -> Bool {
    let fields = line.split { $0 == " " || $0 == "\t" }
    guard fields.count >= 9, fields[0] == "lock:", fields[2] == "OFDLCK",
      fields[6].split(separator: ":").last.flatMap({ UInt($0) }) == inode,
      let first = Int(fields[7]), byte >= first
    else { return false }
    if fields[8] == "EOF" { return true }
    return Int(fields[8]).map { byte <= $0 } ?? false
  }

  private static func locks(_ byte: Int, inode: UInt, _ path: String) -> Bool {
    guard let bytes = contents(path) else { return false }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
      .contains { line($0, locks: byte, inode: inode) }
  }

  private static func refers(_ path: String, to wanted: stat) -> Bool {
    var found = stat()
    guard unsafe stat(path, &found) == 0 else { return false }
    return found.st_dev == wanted.st_dev && found.st_ino == wanted.st_ino
  }

  private static func numbers(in path: String) -> [Int] {
    guard let directory = unsafe opendir(path) else { return [] }
    defer { unsafe _ = closedir(directory) }
    var found: [Int] = []
    while case let number = unsafe cl_next_number(directory), number >= 0 {
      found.append(Int(number))
    }
    return found
  }

  /// The beginning of a small file of `/proc`: what is asked about stands there.
  private static func contents(_ path: String) -> [UInt8]? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor != -1 else { return nil }
    let file = OpenFile(owning: descriptor, name: path)
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = try? unsafe bytes.withUnsafeMutableBytes { (buffer) throws(BlockError) in
      try unsafe file.read(into: buffer, at: 0, alignment: 1)
    }
    return count.map { Array(bytes.prefix($0)) }
  }
}
