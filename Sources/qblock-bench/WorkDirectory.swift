import Glibc
import QMPClient

/// A new directory for one workload's files.
///
/// Isolation: value.
struct WorkDirectory {
  /// A file in it.
  ///
  /// Isolation: value.
  struct File: Hashable {
    /// Its name.
    let name: String

    static let base = File(name: "base.img")
    static let overlay = File(name: "overlay.qcow2")
    static let commands = File(name: "commands")
    static let text = File(name: "text")
    static let socket = File(name: "qmp.sock")
    static let trace = File(name: "trace")
    /// A copy of an overlay, by the program that is the yardstick.
    static let copy = File(name: "copy")

    /// A layer between base and overlay; 1 lies over the base.
    static func layer(_ number: Int) -> File { File(name: "layer\(number).qcow2") }

    /// All that may be there.
    static let all =
      [base, overlay, commands, text, socket, trace, copy]
      + (1..<WorkloadPlan.mostLayers).map(layer)
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
  func path(of file: File) -> String { "\(path)/\(file.name)" }

  /// Removes `files`, those that are there.
  func remove(_ files: [File]) {
    for file in files { unsafe unlink(path(of: file)) }
  }

  /// Removes all files and the directory itself.
  func remove() {
    remove(File.all)
    unsafe rmdir(path)
  }

  /// Writes all `pieces` into `file`, one after the other, and no more than `cutAt` bytes.
  func write(
    _ pieces: some Sequence<String>, cutAt end: Int? = nil, to file: File
  ) throws(Failure) {
    let descriptor = unsafe open(path(of: file), O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    defer { close(descriptor) }
    for text in pieces {
      guard StandardStream.write(text, to: descriptor) else {
        throw Self.failure("write", path(of: file))
      }
    }
    if let end, ftruncate(descriptor, end) != 0 { throw Self.failure("cut", path(of: file)) }
  }

  /// What kind of file system this is, as `/proc/self/mountinfo` (proc(5)) names it.
  func fileSystem() throws(Failure) -> String {
    let device = Int(try Self.facts(of: path).st_dev)
    let number = "\(device >> 8 & 0xFFF):\(device & 0xFF | device >> 12 & 0xFFF00)"
    for line in ProcessFile.text("/proc/self/mountinfo").split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count > 3, words[2] == number, let dash = words.firstIndex(of: "-") else {
        continue
      }
      return String(words[dash...].dropFirst().first ?? "")
    }
    return number
  }

  /// The bytes that `file` takes on its file system.
  func allocatedBytes(of file: File) throws(Failure) -> Int {
    Int(try Self.facts(of: path(of: file)).st_blocks) * 512
  }

  /// Gives every hole of `file` its space, so that it takes as many bytes as it is long.
  func fill(_ file: File) throws(Failure) {
    let descriptor = unsafe open(path(of: file), O_RDWR | O_CLOEXEC)
    defer { close(descriptor) }
    var facts = stat()
    guard unsafe fstat(descriptor, &facts) == 0,
      posix_fallocate(descriptor, 0, facts.st_size) == 0, fsync(descriptor) == 0
    else { throw Self.failure("fill", path(of: file)) }
  }

  /// The bytes that are free here.
  func freeBytes() throws(Failure) -> Int {
    var facts = statvfs()
    guard unsafe statvfs(path, &facts) == 0 else {
      throw Self.failure("ask for the free space of", path)
    }
    let free = Int(facts.f_bavail) * Int(facts.f_frsize)
    return try fileSystem() == "tmpfs" ? min(free, Self.availableMemory) : free
  }

  /// The memory that programs may take before others have to give theirs up (proc(5),
  /// `/proc/meminfo`), in bytes.
  private static var availableMemory: Int {
    for line in ProcessFile.text("/proc/meminfo").split(separator: "\n") {
      let words = line.split(separator: " ")
      if words.first == "MemAvailable:", words.count > 1, let kibibytes = Int(words[1]) {
        return kibibytes << 10
      }
    }
    return Int.max
  }

  /// Refuses to go on where fewer than `bytes` are free here.
  func require(freeBytes bytes: Int) throws(Failure) {
    let free = try freeBytes()
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
