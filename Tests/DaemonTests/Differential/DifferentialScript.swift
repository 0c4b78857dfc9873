import Foundation
import JSONValue

/// `Scripts/differential.txt`: what is asked of both monitors. The file says how it is to be read.
///
/// Isolation: value.
struct DifferentialScript {
  /// One line, or one of the many calls that a line stands for.
  enum Step {
    case call(command: String, arguments: JSONObject)
    /// All events up to one: a change to the state `mark`, or the event of this name.
    case events(job: String, mark: String)
  }

  /// Steps on images and processes of their own.
  struct Scene {
    let name: String
    /// The chains that are open when it begins, from their tops down.
    var chains: [[String]] = []
    /// Whether the nodes below a top come from the image's header, without names of ours.
    var areChainsFromHeaders = false
    /// The most bytes of a file that may be written.
    var fileLimit: Int?
    var steps: [Step] = []
  }

  /// Why the file cannot be read.
  struct Malformed: Error {
    let line: String
  }

  private(set) var scenes: [Scene] = []

  /// Reads the file.
  init() throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Scripts/differential.txt")
    for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
      if !line.hasPrefix("#") { try read(String(line)) }
    }
  }

  private mutating func read(_ line: String) throws {
    if line.hasPrefix("== ") {
      scenes.append(Scene(name: String(line.dropFirst(3))))
      return
    }
    guard var scene = scenes.popLast() else { throw Malformed(line: line) }
    let words = line.split(separator: " ").map(String.init)
    let rest = String(line.dropFirst(words[0].count + 1))
    switch words[0] {
    case "chains":
      scene.chains = words.dropFirst().map { $0.split(separator: "/").map(String.init) }
    case "headers": scene.areChainsFromHeaders = true
    case "limit": scene.fileLimit = Int(words[1])
    case "...": scene.steps.append(.events(job: words[1], mark: words[2]))
    case "verbs":
      for verb in words.dropFirst(2) {
        guard let calls = DifferentialScript.verbs[verb] else { throw Malformed(line: line) }
        scene.steps += calls(words[1])
      }
    case "sweep":
      let name = words[1]
      let arguments = try JSONValue.parse(String(rest.dropFirst(name.count + 1)))
      scene.steps += ArgumentSweep.variants(of: arguments).map {
        .call(command: name, arguments: $0)
      }
    default:
      guard let arguments = try JSONValue.parse(rest).objectValue else {
        throw Malformed(line: line)
      }
      scene.steps.append(.call(command: words[0], arguments: arguments))
    }
    scenes.append(scene)
  }

  /// The commands that ask for one verb.
  private static let verbs: [String: @Sendable (String) -> [Step]] = [
    "cancel": both("job-cancel", "id", "block-job-cancel", "device", ["force": true]),
    "pause": both("job-pause", "id", "block-job-pause", "device"),
    "resume": both("job-resume", "id", "block-job-resume", "device"),
    "complete": both("job-complete", "id", "block-job-complete", "device"),
    "finalize": both("job-finalize", "id", "block-job-finalize", "id"),
    "dismiss": both("job-dismiss", "id", "block-job-dismiss", "id"),
    "set-speed": { job in
      [.call(command: "block-job-set-speed", arguments: ["device": .string(job), "speed": 1])]
    },
  ]

  private static func both(
    _ newer: String, _ newerName: String, _ older: String, _ olderName: String,
    _ others: JSONObject = [:]
  ) -> @Sendable (String) -> [Step] {
    { job in
      let further = others.members.map { ($0.name, $0.value) }
      return [
        .call(command: newer, arguments: JSONObject(members: [(newerName, .string(job))])),
        .call(
          command: older,
          arguments: JSONObject(members: [(olderName, .string(job))] + further)),
      ]
    }
  }
}

/// Calls that are wrong in one place each.
enum ArgumentSweep {
  /// Every type that JSON has, and numbers at the ends of what integers may be.
  private static let values: [JSONValue] = [
    nil, true, 1, -1, .integer(.max), .integer(.min), .unsigned(1 << 63), .unsigned(.max), 1.5, "",
    "zzz", [], [:],
  ]

  /// `arguments` as they are; without each member; with each other value in its place; with one
  /// that nobody knows; and the same for the objects in it.
  static func variants(of arguments: JSONValue) -> [JSONObject] {
    guard case .object(let object) = arguments else { return [] }
    return [object] + faults(in: object)
  }

  private static func faults(in object: JSONObject) -> [JSONObject] {
    var faults = [object.adding("bogus", 1)]
    for member in object.members {
      faults.append(object.removing(member.name))
      for value in values where value != member.value {
        faults.append(object.replacing(member.name, by: value))
      }
      guard case .object(let inner) = member.value else { continue }
      for fault in self.faults(in: inner) {
        faults.append(object.replacing(member.name, by: .object(fault)))
      }
    }
    return faults
  }
}

extension JSONObject {
  fileprivate func adding(_ name: String, _ value: JSONValue) -> JSONObject {
    var object = self
    object.append(name, value)
    return object
  }

  fileprivate func removing(_ name: String) -> JSONObject {
    JSONObject(members: members.filter { $0.name != name }.map { ($0.name, $0.value) })
  }

  fileprivate func replacing(_ name: String, by value: JSONValue) -> JSONObject {
    JSONObject(members: members.map { ($0.name, $0.name == name ? value : $0.value) })
  }
}
