import Foundation

/// The files of this source tree.
///
/// Isolation: value.
struct SourceTree {
  /// One text file.
  struct File: Sendable {
    /// Its path from the top of the tree.
    let path: String
    let lines: [Substring]
  }

  /// The directory that holds `Package.swift`.
  static let top = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  /// All Swift files under `folder`.
  static func swiftFiles(under folder: String) throws -> [File] {
    let root = top.appending(path: folder)
    let names = try FileManager.default.subpathsOfDirectory(atPath: root.path)
    return try names.filter { $0.hasSuffix(".swift") }.sorted().map { name in
      let text = try String(contentsOf: root.appending(path: name), encoding: .utf8)
      return File(
        path: "\(folder)/\(name)",
        lines: text.split(separator: "\n", omittingEmptySubsequences: false))
    }
  }

  /// The modules that each file of `Sources/<target>` imports.
  static func imports(of target: String) throws -> Set<String> {
    var modules: Set<String> = []
    for file in try swiftFiles(under: "Sources/\(target)") {
      for line in file.lines {
        let words = line.split(separator: " ")
        guard let index = words.firstIndex(of: "import"), index + 1 < words.count,
          words[..<index].allSatisfy({ ["package", "internal", "private"].contains($0) })
        else { continue }
        modules.insert(String(words[index + 1]))
      }
    }
    return modules
  }
}
