import BlockIO
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
  /// The absolute name of the node's file without `.`, `..` and doubled slashes, as it may be
  /// stored where others read it; the name as it is, where a symbolic link on the way makes the
  /// plain one another file. Lane.
  package func plainFileName(_ gate: OpenGate) -> String {
    let spelling = PathSpelling(fileName)
    guard spelling.isAbsolute, let file = bottomFile,
      let found = try? gate.identity(of: spelling.text), found == file.identity
    else { return fileName }
    return spelling.text
  }
}
