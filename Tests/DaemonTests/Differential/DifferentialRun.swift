import Foundation
import JSONValue
import TestSupport
import Testing

/// What a monitor answered in one scene.
///
/// Isolation: value.
struct Transcript {
  /// One step with what came of it: the answer, or the events.
  struct Turn {
    /// The step as a reader would write it.
    let step: String
    /// The command, or "events".
    let command: String
    let result: JSONValue
  }

  var turns: [Turn] = []
}

/// The images of all scenes, each of 4 MiB unless its name says otherwise, and runs of scenes on
/// copies of them.
///
/// Isolation: one test.
final class DifferentialRun {
  /// Which monitor is asked.
  enum Subject: String {
    case ours, qemu
  }

  private static let size = 4 << 20
  private let images: TemporaryDirectory

  /// Makes the images: `t` over `m` over `b`, `u` over `v`, `g` over `h` over `e`, all full of data
  /// but `e` and `g`; `z` over `y`, disks of nothing; `s` with a snapshot; and the file `plain`.
  init() throws {
    images = try TemporaryDirectory.inMemory()
    try make("b", over: nil, filledWith: 1)
    try make("m", over: "b", filledWith: 2)
    try make("t", over: "m", filledWith: 3)
    try make("v", over: nil, filledWith: nil)
    try make("u", over: "v", filledWith: 4)
    try make("e", over: nil, filledWith: nil)
    try make("h", over: "e", filledWith: 5)
    try make("g", over: "h", filledWith: nil)
    try make("y", over: nil, filledWith: nil, size: 0)
    try make("z", over: "y", filledWith: nil, size: 0)
    try make("s", over: nil, filledWith: nil)
    let kept = try QemuTools.img("snapshot", "-c", "s", images.file("s.qcow2"))
    try #require(kept.status == 0, "\(kept.output)")
    try images.write([UInt8](repeating: 0x78, count: 1 << 16), to: "plain")
  }

  private func make(
    _ name: String, over backing: String?, filledWith byte: UInt8?,
    size: Int = DifferentialRun.size
  ) throws {
    let path = images.file("\(name).qcow2")
    let link = backing.map { ["-b", "\($0).qcow2", "-F", "qcow2"] } ?? []
    let made = try QemuTools.run(
      "qemu-img", ["create", "-q", "-f", "qcow2"] + link + [path, "\(size)"])
    try #require(made.status == 0, "\(made.output)")
    guard let byte else { return }
    let written = try QemuTools.io(path, "write -P \(byte) 0 \(size)")
    try #require(written.status == 0, "\(written.output)")
  }

  /// Plays `scene` with a process and copies of the images of its own.
  func play(_ scene: DifferentialScript.Scene, with subject: Subject) throws -> Transcript {
    let place = try TemporaryDirectory.inMemory()
    for name in try FileManager.default.contentsOfDirectory(atPath: images.path) {
      try FileManager.default.copyItem(atPath: images.file(name), toPath: place.file(name))
    }
    // QEMU does not mind the signal of a file that is too long only where somebody ignores it.
    let launcher = scene.fileLimit.map { limit in
      ["sh", "-c", #"trap "" XFSZ; exec "$@""#, "sh", "prlimit", "--fsize=\(limit)"]
    }
    switch subject {
    case .ours:
      let daemon = try DaemonProcess.start(launcher: launcher ?? [])
      var player = ScenePlayer(try MonitorSocket.negotiated(daemon.socket), place)
      defer { daemon.stop() }
      return player.play(scene)
    case .qemu:
      let oracle = try QemuDaemon(launcher: launcher ?? [])
      var player = ScenePlayer(oracle.monitor, place)
      return player.play(scene)
    }
  }
}

/// One scene on its way.
///
/// Isolation: one test.
private struct ScenePlayer {
  private let monitor: MonitorSocket
  private let place: TemporaryDirectory
  private var transcript = Transcript()

  init(_ monitor: MonitorSocket, _ place: TemporaryDirectory) {
    self.monitor = monitor
    self.place = place
  }

  /// Takes the steps one after the other. After one that fails, the transcript ends.
  mutating func play(_ scene: DifferentialScript.Scene) -> Transcript {
    do {
      for chain in scene.chains {
        let named = scene.areChainsFromHeaders ? Array(chain.prefix(1)) : chain
        try call("blockdev-add", ScenePlayer.node(named[...], isWhole: !scene.areChainsFromHeaders))
      }
      for step in scene.steps {
        switch step {
        case .call(let command, let arguments): try call(command, arguments)
        case .events(let job, let mark): try events(of: job, until: mark)
        }
      }
    } catch {
      transcript.turns.append(.init(step: "…", command: "failure", result: .string("\(error)")))
    }
    return transcript
  }

  /// The arguments that open `chain`. One that is whole says what lies below every node.
  private static func node(_ chain: ArraySlice<String>, isWhole: Bool) -> JSONObject {
    let name = chain.first ?? ""
    var node: JSONObject = [
      "driver": "qcow2", "node-name": .string(name),
      "file": [
        "driver": "file", "node-name": .string(name + "f"),
        "filename": .string("/images/\(name).qcow2"),
      ],
    ]
    let below = chain.dropFirst()
    if isWhole {
      node.append("backing", below.isEmpty ? nil : .object(Self.node(below, isWhole: true)))
    }
    return node
  }

  private mutating func call(_ command: String, _ arguments: JSONObject) throws {
    let request = JSONValue.object(["execute": .string(command), "arguments": .object(arguments)])
    let text = request.description.replacingOccurrences(of: "/images", with: place.path)
    let answer = try monitor.answer(to: text)
    transcript.turns.append(
      .init(
        step: "\(command) \(JSONValue.object(arguments))", command: command,
        result: try plain(.object(answer))))
  }

  private mutating func events(of job: String, until mark: String) throws {
    var seen: [JSONValue] = []
    do {
      _ = try monitor.event { event in
        let data = event["data"]
        seen.append(["event": event["event"] ?? nil, "data": data ?? nil])
        return [data?["id"], data?["device"]].contains(.string(job))
          && [event["event"], data?["status"]].contains(.string(mark))
      }
    } catch {
      seen.append(.string("\(error)"))
    }
    transcript.turns.append(
      .init(step: "... \(job) \(mark)", command: "events", result: try plain(.array(seen))))
  }

  /// `value` as it would be were the images in `/images`.
  private func plain(_ value: JSONValue) throws -> JSONValue {
    try JSONValue.parse(
      value.description.replacingOccurrences(of: place.path, with: "/images"), limits: .answer
    ).comparable
  }
}

extension JSONValue {
  /// What depends on time, on the file system, or on nothing that a client could rely on.
  private static let incidental: Set = ["timestamp", "actual-size"]
  /// How far a job is. That of one that has not come to its end is a matter of time.
  private static let progress: Set = [
    "offset", "len", "current-progress", "total-progress", "busy",
  ]

  /// Without what is ours by its name, and without what is not the same in two runs of one program.
  fileprivate var comparable: JSONValue {
    switch self {
    case .array(let elements): return .array(elements.map(\.comparable))
    case .object(let object):
      let isUnderWay =
        object["error"]?.stringValue != nil || object["event"] == "BLOCK_JOB_CANCELLED"
        || ["running", "paused"].contains(object["status"])
      let members = object.members.compactMap { member -> (String, JSONValue)? in
        guard !member.name.hasPrefix("x-"), !JSONValue.incidental.contains(member.name),
          !isUnderWay || !JSONValue.progress.contains(member.name)
        else { return nil }
        let value = member.value.comparable
        return (member.name, isUnderWay && member.name == "data" ? value.withoutProgress : value)
      }
      return .object(JSONObject(members: members))
    default: return self
    }
  }

  private var withoutProgress: JSONValue {
    guard case .object(let object) = self else { return self }
    return .object(
      JSONObject(
        members: object.members.filter { !JSONValue.progress.contains($0.name) }.map {
          ($0.name, $0.value)
        }))
  }
}
