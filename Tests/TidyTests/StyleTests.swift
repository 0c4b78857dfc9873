import Testing

/// Rules of style that the formatter does not know.
@Suite("style")
struct StyleTests {
  static let folders = ["Sources", "Tests"]

  @Test("lines have at most 100 columns, files at most 600 lines", arguments: folders)
  func lengths(folder: String) throws {
    for file in try SourceTree.swiftFiles(under: folder) {
      #expect(file.lines.count <= 600, "\(file.path) has \(file.lines.count) lines")
      for (index, line) in file.lines.enumerated() where line.count > 100 {
        Issue.record("\(file.path):\(index + 1) has \(line.count) columns")
      }
    }
  }

  /// Calls that end the process, or look away from a failure, have no place in Sources.
  @Test(
    "Sources hold no banned calls",
    arguments: ["try!", "as!", "fatalError(", "TODO", "FIXME", "public func", "@_exported"])
  func banned(call: String) throws {
    for file in try SourceTree.swiftFiles(under: "Sources") {
      for (index, line) in file.lines.enumerated() where line.contains(call) {
        Issue.record("\(file.path):\(index + 1) holds '\(call)'")
      }
    }
  }

  @Test("every @unchecked has its reason beside it")
  func unchecked() throws {
    for file in try SourceTree.swiftFiles(under: "Sources") {
      for (index, line) in file.lines.enumerated()
      where line.contains("@unchecked") && !line.contains("///") {
        let above = file.lines[max(0, index - 14)..<index]
        #expect(
          above.contains { $0.contains("@unchecked") || $0.contains("unchecked Sendable") },
          "\(file.path):\(index + 1)")
      }
    }
  }

  @Test("comments name only tests that there are; whoever orders flushes names the tests of that")
  func namedTests() throws {
    let tests = try SourceTree.swiftFiles(under: "Tests").flatMap(\.lines)
    let declared = Set(
      tests.compactMap { line in
        line.firstMatch(of: /(?:struct|class) (\w+Tests)\b/).map { String($0.1) }
      })
    for file in try SourceTree.swiftFiles(under: "Sources") {
      let comments = file.lines.filter { $0.contains("//") }
      let named = comments.flatMap { $0.matches(of: /`(\w+Tests)`/).map { String($0.1) } }
      for name in named where !declared.contains(name) {
        Issue.record("\(file.path) names \(name), which is no test")
      }
      if file.lines.contains(where: { $0.contains(/\bflush\(\.\w/) }) {
        #expect(!named.isEmpty, "\(file.path) flushes, and names no test")
      }
    }
  }

  @Test("functions have at most 70 lines")
  func functions() throws {
    for file in try SourceTree.swiftFiles(under: "Sources") {
      var start: (line: Int, indent: Int, hasBody: Bool)?
      for (index, line) in file.lines.enumerated() {
        let indent = line.prefix { $0 == " " }.count
        let text = line.dropFirst(indent)
        if let open = start, indent == open.indent, text.hasPrefix("}") {
          #expect(index - open.line <= 70, "\(file.path):\(open.line + 1)")
          start = nil
        } else if let open = start, !open.hasBody {
          // What a protocol asks for has none.
          if text.hasSuffix("{") { start?.hasBody = true }
          if text.isEmpty || text.hasPrefix("//") { start = nil }
        } else if start == nil, text.contains("func ") || text.contains("init("),
          !text.hasPrefix("//"), !text.hasSuffix("}")
        {
          start = (index, indent, text.hasSuffix("{"))
        }
      }
    }
  }

  @Test("package declarations of types and functions have a doc comment")
  func documentation() throws {
    let kinds = ["func", "struct", "class", "enum", "protocol", "actor", "final", "static"]
    for file in try SourceTree.swiftFiles(under: "Sources") {
      for (index, line) in file.lines.enumerated() {
        let words = line.split(separator: " ")
        guard words.first == "package", words.count > 1, kinds.contains(String(words[1])),
          index > 0, isUndocumented(file, index)
        else { continue }
        Issue.record("\(file.path):\(index + 1) has no doc comment: \(line)")
      }
    }
  }

  /// Whether neither a comment nor an attribute with a comment stands above the line, and the line
  /// is no conformance to a requirement that is documented where it is declared.
  private func isUndocumented(_ file: SourceTree.File, _ index: Int) -> Bool {
    var above = index - 1
    while above >= 0, file.lines[above].drop(while: { $0 == " " }).hasPrefix("@") { above -= 1 }
    guard above >= 0 else { return true }
    let text = file.lines[above].drop(while: { $0 == " " })
    if text.hasPrefix("///") { return false }
    // Members of a type that implements a documented protocol need no second comment.
    return file.lines[index].prefix(2) != "  "
  }
}
