import Foundation
import JSONValue

/// `protocol.md`, cut into what the tests hold it to.
///
/// Isolation: value.
struct ProtocolDocument {
  /// One message of an example.
  enum Step {
    /// What the client sends, as it stands there, with a descriptor of the file `passing`, where it
    /// names one, open for reading and writing.
    case send(String, passing: String?)
    /// What the server sends.
    case expect(JSONValue)
  }

  /// What stands under one heading that names a command or an event.
  struct Section {
    let title: String
    let isExtension: Bool
    /// All that stands between backticks in it.
    var names: Set<String> = []
    /// The first cells of its tables' rows, by the head of the first column.
    var rows: [(head: String, names: [String], cells: [Substring])] = []
  }

  /// All that stands between backticks in it.
  private(set) var names: Set<String> = []
  private(set) var steps: [Step] = []
  private(set) var sections: [String: Section] = [:]
  /// What differs from QEMU: the first cells of that table.
  private(set) var differences: Set<String> = []

  /// Reads the document at the top of the repository.
  init() throws {
    let top = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let text = try String(contentsOf: top.appendingPathComponent("protocol.md"), encoding: .utf8)
    var section: Section?
    var head: String?
    var example: [String]?
    for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
      if line.hasPrefix("```") {
        if let lines = example { try add(example: lines) }
        example = example == nil && line == "```json" ? [] : nil
        continue
      } else if example != nil {
        example?.append(line)
        continue
      }
      let quoted = ProtocolDocument.quoted(line).map(ProtocolDocument.lastName)
      names.formUnion(quoted)
      section?.names.formUnion(quoted)
      if line.hasPrefix("#") {
        if let section { sections[section.title] = section }
        section = ProtocolDocument.section(line)
      } else if line.hasPrefix("| ") {
        let cells = line.dropFirst().split(separator: "|").map(ProtocolDocument.trimmed)
        let names = ProtocolDocument.quoted(String(cells[0])).map(ProtocolDocument.lastName)
        if head == nil { head = String(cells[0]) }
        if head == "What" { differences.insert(String(cells[0])) }
        section?.rows.append((head ?? "", names, cells))
      }
      if !line.hasPrefix("|") { head = nil }
    }
    if let section { sections[section.title] = section }
  }

  /// A heading with a name in it: ``### `name` (extension)``.
  private static func section(_ line: String) -> Section? {
    guard let name = quoted(line).first else { return nil }
    return Section(title: name, isExtension: line.hasSuffix("(extension)"))
  }

  private static func trimmed(_ cell: Substring) -> Substring {
    Substring(cell.trimmingCharacters(in: .whitespaces))
  }

  /// What stands between backticks.
  private static func quoted(_ text: String) -> [String] {
    text.split(separator: "`", omittingEmptySubsequences: false).enumerated()
      .filter { $0.offset % 2 == 1 }.map { String($0.element) }
  }

  /// The member itself in `cache.direct`.
  private static func lastName(_ path: String) -> String {
    path.split(separator: ".").last.map(String.init) ?? path
  }

  /// Lines that begin with an arrow begin a message; the others go on with it.
  private mutating func add(example lines: [String]) throws {
    var messages: [(isSent: Bool, text: String)] = []
    for line in lines {
      if line.hasPrefix("-> ") || line.hasPrefix("<- ") {
        messages.append((line.hasPrefix("-> "), String(line.dropFirst(3))))
      } else {
        messages[messages.count - 1].text += "\n" + line
      }
    }
    for (isSent, text) in messages {
      steps.append(
        isSent ? ProtocolDocument.sent(text) : .expect(try JSONValue.parse(text)))
    }
  }

  /// A message that is sent, after the descriptor that goes with it: `(with /images/disk.raw)`.
  private static func sent(_ text: String) -> Step {
    let mark = "(with "
    guard text.hasPrefix(mark), let end = text.firstIndex(of: ")") else {
      return .send(text, passing: nil)
    }
    let file = text[..<end].dropFirst(mark.count)
    return .send(String(text[text.index(after: end)...]), passing: String(file))
  }

  /// The names in the examples: commands that are sent, events that come.
  var examples: Set<String> {
    get throws {
      var names: Set<String> = []
      for step in steps {
        let name =
          switch step {
          case .send(let text, _): try JSONValue.parse(text)["execute"]?.stringValue
          case .expect(let message): message["event"]?.stringValue
          }
        if let name { names.insert(name) }
      }
      return names
    }
  }
}
