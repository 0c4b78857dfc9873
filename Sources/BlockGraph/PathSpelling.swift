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
}
