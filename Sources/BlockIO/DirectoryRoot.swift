package import BlockCore
import CLinux
import Glibc

/// A directory that names may not lead out of.
///
/// Isolation: any thread; immutable.
package final class DirectoryRoot: Sendable {
  /// Its name, without a slash at the end.
  package let name: FileName
  private let directory: OpenFile

  /// The directory `name`, an absolute path.
  package init(_ name: FileName) throws(BlockError) {
    guard name.bytes.first == UInt8(ascii: "/") else {
      throw BlockError(.invalidArgument, "The image root '\(name.text)' is not an absolute path")
    }
    var bytes = name.bytes
    while bytes.count > 1 && bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
    self.name = try FileName(bytes: bytes)
    directory = try OpenFile.find(self.name)
    guard FileKind(mode: try directory.status().st_mode) == .directory else {
      throw BlockError(.invalidArgument, "The image root '\(name.text)' is not a directory")
    }
  }

  /// Whether `path`, an absolute one, is spelled as lying inside. That says nothing about where it
  /// leads: `find` sees to that.
  package func holds(_ path: FileName) -> Bool { relative(path) != nil }

  /// Finds a file that lies inside, `path` being absolute. A path that leads out of the directory,
  /// by its spelling, by `..` or by a symbolic link, is refused with `permission`.
  func find(_ path: FileName) throws(BlockError) -> OpenFile {
    guard let inside = relative(path) else {
      throw BlockError(
        .permission, "'\(path.text)' is not inside the image root '\(name.text)'", file: path.text)
    }
    do {
      let descriptor = try SystemCall.run(on: path.text) {
        unsafe inside.withCString {
          unsafe cl_open_beneath(directory.descriptor, $0, cl_O_PATH | O_CLOEXEC)
        }
      }
      return OpenFile(owning: descriptor, name: path.text)
    } catch let error where error.errno == EXDEV {
      throw BlockError(
        .permission,
        "'\(path.text)' is not inside the image root '\(name.text)': '..' or a symbolic link leads "
          + "out of it, as one does whose target begins with '/'", file: path.text)
    } catch let error where error.errno == ELOOP {
      throw BlockError(
        .permission,
        "'\(path.text)' leads through too many symbolic links, or through one of /proc",
        file: path.text)
    }
  }

  private func relative(_ path: FileName) -> FileName? {
    let slash = UInt8(ascii: "/")
    if path == name { return try? FileName(".") }
    let prefix = name.bytes == [slash] ? name.bytes : name.bytes + [slash]
    guard path.bytes.starts(with: prefix) else { return nil }
    return try? FileName(bytes: Array(path.bytes.dropFirst(prefix.count).drop { $0 == slash }))
  }
}
