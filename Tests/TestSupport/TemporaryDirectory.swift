import BlockCore
import Foundation

/// A directory of one test, removed with everything in it when the test lets go of it.
///
/// Isolation: any thread; immutable.
package final class TemporaryDirectory: Sendable {
  /// Its absolute path, without a slash at the end.
  package let path: String

  /// A new, empty directory inside `parent`; inside the system's place for such things when none
  /// is named.
  package init(in parent: String? = nil) throws {
    let parent = parent ?? FileManager.default.temporaryDirectory.path
    path = "\(parent)/qblockd-test-\(UUID().uuidString)"
    try FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: false,
      attributes: [.posixPermissions: 0o700])
  }

  /// A new, empty directory that is not on a disk, where the system has a place for such.
  package static func inMemory() throws -> TemporaryDirectory {
    let memory = "/dev/shm"
    let isThere = FileManager.default.isWritableFile(atPath: memory)
    return try TemporaryDirectory(in: isThere ? memory : nil)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The path of `name` in it.
  package func file(_ name: String) -> String { "\(path)/\(name)" }

  /// Makes the file `name` of these bytes, and returns its path.
  @discardableResult
  package func write(_ bytes: [UInt8], to name: String) throws -> String {
    try Data(bytes).write(to: URL(fileURLWithPath: file(name)))
    return file(name)
  }

  /// Makes the file `name` of these bytes, with holes where they are zero, and returns its path.
  @discardableResult
  package func write(_ image: CrashImage, to name: String) throws -> String {
    try Data().write(to: URL(fileURLWithPath: file(name)))
    let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: file(name)))
    try image.forEachPage(in: ByteRange(at: 0, length: image.size)) { (offset, bytes) in
      try handle.seek(toOffset: UInt64(offset))
      try handle.write(contentsOf: bytes)
    }
    try handle.truncate(atOffset: UInt64(image.size))
    try handle.close()
    return file(name)
  }

  /// The bytes of the file `name`.
  package func read(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: file(name))))
  }
}
