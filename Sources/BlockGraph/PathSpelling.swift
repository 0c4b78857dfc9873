package import BlockCore
import BlockIO
import Glibc
package import ImageFormats

/// A path without what two spellings of one path may differ in: doubled slashes, `.`, and `..`
/// after a name. Symbolic links are not looked at.
///
/// Isolation: value.
struct PathSpelling: Hashable, Sendable {
  let isAbsolute: Bool
  let components: [Substring]

  init(_ path: String) {
    isAbsolute = path.hasPrefix("/")
    var kept: [Substring] = []
    for part in path.split(separator: "/") where part != "." {
      if part == "..", let last = kept.last, last != ".." {
        kept.removeLast()
      } else if part != ".." || !isAbsolute {
        kept.append(part)
      }
    }
    components = kept
  }

  /// The path without all that.
  var text: String { (isAbsolute ? "/" : "") + components.joined(separator: "/") }
}

extension BlockNode {
  /// Whether its file lies in the directory of `other`'s file, or further down in it: by their
  /// names, and where symbolic links in these have led.
  package func isBeside(_ other: BlockNode) -> Bool {
    let (path, directory) = (PathSpelling(fileName), PathSpelling(other.fileName))
    guard
      hasTextName && path.isAbsolute == directory.isAbsolute
        && !path.components.contains("..") && !directory.components.contains("..")
        && path.components.starts(with: directory.components.dropLast()),
      let file = bottomFile, let otherFile = other.bottomFile
    else { return false }
    return file.isBeside(otherFile)
  }

  /// The name of the node's file for a header, from the root and as plain as it can be. Throws
  /// `invalidArgument` for one that would not be followed there; `argument` of the command can say
  /// another. Lane.
  package func headerName(
    _ gate: OpenGate, orGive argument: String = "backing-file"
  ) throws(BlockError) -> [UInt8] {
    let name = plainPath(gate)
    if let why = OpenGate.fault(inBacking: name) {
      throw BlockError(
        .invalidArgument,
        "No header can name the file of node '\(self.name)', '\(PrintableText.of(name))': "
          + "\(why); give '\(argument)'", file: fileName)
    }
    return name
  }

  /// The absolute name of the node's file without `.`, `..` and doubled slashes; with these, where
  /// a symbolic link on the way makes the plain one another file, or where it is not text. Lane.
  private func plainPath(_ gate: OpenGate) -> [UInt8] {
    guard let file = bottomFile else { return path }
    let path = absolutePath(path)
    guard let text = String(validating: path, as: UTF8.self),
      let plain = try? FileName(PathSpelling(text).text),
      let found = try? gate.identity(of: plain), found == file.identity
    else { return path }
    return plain.bytes
  }

  /// Throws `notFound` where `name`, which a header is to say for this node, leads to another file
  /// by now than the one that is open: it was renamed, or replaced. `argument` of the command can
  /// say what is meant. Lane.
  package func requireFile(
    at name: [UInt8], _ gate: OpenGate, orGive argument: String = "backing-file"
  ) throws(BlockError) {
    guard let file = bottomFile else { return }
    let name = try FileName(bytes: name)
    guard name.bytes.first == UInt8(ascii: "/") else {
      throw BlockError(
        .notFound,
        "The file of node '\(self.name)' has no name from the root, as the directory that "
          + "'\(name.string)' begins in is gone: give '\(argument)'", file: name.string)
    }
    if (try? gate.identity(of: name)) == file.identity { return }
    throw BlockError(
      .notFound,
      "The file of node '\(self.name)' was renamed or replaced: '\(name.string)' is not what was "
        + "opened, so no header names it; put it back, or give '\(argument)'", file: name.string)
  }

  /// Whether the file's name is text, so that a client can say it.
  var hasTextName: Bool { path.elementsEqual(fileName.utf8) }
}

/// `path` from the root: a relative one begins in this process's directory, which the reader of a
/// header need not be in.
private func absolutePath(_ path: [UInt8]) -> [UInt8] {
  guard path.first != UInt8(ascii: "/"), let directory = unsafe getcwd(nil, 0) else { return path }
  defer { unsafe free(directory) }
  let bytes = unsafe UnsafeRawBufferPointer(start: directory, count: strlen(directory))
  return unsafe Array(bytes) + [UInt8(ascii: "/")] + path
}
