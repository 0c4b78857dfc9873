import Glibc
import QMPClient

/// A new directory for one workload's files.
///
/// Isolation: value.
struct WorkDirectory {
  /// The files that it may hold.
  enum File: String, CaseIterable {
    case base = "base.img"
    case overlay = "overlay.qcow2"
    case commands
    case text
  }

  private let path: String

  /// Makes one below the directory `parent`.
  init(below parent: String) throws(Failure) {
    var template = Array("\(parent)/qblock-bench-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else {
      throw Self.failure("make a directory in", parent)
    }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// Where `file` is, or may be.
  func path(of file: File) -> String { "\(path)/\(file.rawValue)" }

  /// Removes `files`, those that are there.
  func remove(_ files: [File]) {
    for file in files { unsafe unlink(path(of: file)) }
  }

  /// Removes all files and the directory itself.
  func remove() {
    remove(File.allCases)
    unsafe rmdir(path)
  }

  /// Writes `text` into `file`, as many `times`, and no more than `cutAt` bytes.
  func write(
    _ text: String, times: Int = 1, cutAt end: Int? = nil, to file: File
  ) throws(Failure) {
    let descriptor = unsafe open(path(of: file), O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    defer { close(descriptor) }
    for _ in 0..<times {
      guard StandardStream.write(text, to: descriptor) else {
        throw Self.failure("write", path(of: file))
      }
    }
    if let end, ftruncate(descriptor, end) != 0 { throw Self.failure("cut", path(of: file)) }
  }

  /// The bytes that `file` takes on its file system.
  func allocatedBytes(of file: File) throws(Failure) -> Int {
    Int(try Self.facts(of: path(of: file)).st_blocks) * 512
  }

  /// Refuses to go on where fewer than `bytes` are free here.
  func require(freeBytes bytes: Int) throws(Failure) {
    var facts = statvfs()
    guard unsafe statvfs(path, &facts) == 0 else {
      throw Self.failure("ask for the free space of", path)
    }
    let free = Int(facts.f_bavail) * Int(facts.f_frsize)
    guard free >= bytes else {
      throw .sentence(
        "This needs \(bytes >> 20) MiB beside \(path), and \(free >> 20) MiB are free")
    }
  }

  /// Whether `other` is on the same file system.
  func sharesSpace(with other: WorkDirectory) throws(Failure) -> Bool {
    try Self.facts(of: path).st_dev == Self.facts(of: other.path).st_dev
  }

  private static func facts(of path: String) throws(Failure) -> stat {
    var facts = stat()
    guard unsafe stat(path, &facts) == 0 else { throw failure("look at", path) }
    return facts
  }

  private static func failure(_ deed: String, _ path: String) -> Failure {
    .sentence("Could not \(deed) \(path): \(unsafe String(cString: strerror(errno)))")
  }
}
