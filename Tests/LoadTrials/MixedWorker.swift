import Foundation
import JSONValue
import QMP
import QMPClient
import TestSupport

/// One client with a chain of its own, `top` over `base`, on which it runs one job after the other.
///
/// Isolation: one thread.
final class MixedWorker {
  private let client: QMPClient
  private let directory: TemporaryDirectory
  private let name: String
  private let count: () -> Void

  /// A worker at the daemon on `socket` that calls `count` for each job.
  init(_ socket: String, _ number: Int, _ count: @escaping () -> Void) throws {
    client = try QMPClient(connectingTo: socket)
    directory = try TemporaryDirectory.inMemory()
    name = "w\(number)"
    self.count = count
  }

  private var top: String { "\(name)-top" }
  private var base: String { "\(name)-base" }

  /// Works until `end`.
  func run(until end: Date) throws {
    while Date() < end {
      try makeImages()
      for round in 0..<20 where Date() < end { try cycle(round) }
      try client.remove(top)
      try client.remove(base)
    }
  }

  /// New images, made and opened by the daemon.
  private func makeImages() throws {
    for (file, below) in [("base", nil), ("top", "base")] as [(String, String?)] {
      let path = directory.file(file)
      try job("blockdev-create") {
        ["job-id": $0, "options": ["driver": "file", "filename": .string(path), "size": 0]]
      }
      try job("blockdev-create") { id in
        var options: JSONObject = [
          "driver": "qcow2", "size": 8_388_608,
          "file": ["driver": "file", "filename": .string(path)],
        ]
        if let below {
          options.append("backing-file", .string(below))
          options.append("backing-fmt", "qcow2")
        }
        return ["job-id": id, "options": .object(options)]
      }
    }
    try client.add(base, directory.file("base"), backing: BackingReference.none)
    try client.add(top, directory.file("top"), backing: .reference(.node(base)))
  }

  /// One job of each kind.
  private func cycle(_ round: Int) throws {
    let (top, base): (JSONValue, JSONValue) = (.string(top), .string(base))
    let offset = JSONValue.integer(round % 16 * 262_144)
    func write() throws {
      try job("x-block-write") {
        [
          "job-id": $0, "node": top, "offset": offset, "length": 262_144,
          "pattern": .integer(round),
        ]
      }
    }
    try write()
    try job("x-block-checksum") { ["job-id": $0, "node": top] }
    // One that is cancelled in its midst.
    try job("block-commit", isCancelled: true) { ["job-id": $0, "device": top, "speed": 1] }
    try job("block-commit") {
      ["job-id": $0, "device": top, "x-auto-complete": true, "x-make-empty": .bool(round % 2 == 0)]
    }
    try job("x-block-compare") { ["job-id": $0, "node": top, "other": base] }
    try job("block-make-empty") { ["job-id": $0, "node": top] }
    try job("block-check") { ["job-id": $0, "node": base] }
    try write()
    try job("block-stream") { ["job-id": $0, "device": top, "base-node": base] }
    try job("block-commit") { ["job-id": $0, "device": top, "x-auto-complete": true] }
  }

  /// Starts a job, and waits until it is gone, which it is to be as is said.
  private func job(
    _ command: String, isCancelled: Bool = false, _ arguments: (JSONValue) -> JSONObject
  ) throws {
    try client.execute(command, arguments(.string(name)))
    if isCancelled { try client.execute(JobCancel { $0.id = name }) }
    let outcome = try client.execute(
      JobWait {
        $0.id = name
        $0.timeoutMilliseconds = 60_000
      })
    guard (outcome.error != nil) == isCancelled else {
      throw UnexpectedEnd(job: command, error: outcome.error)
    }
    // `blockdev-create` does not dismiss itself.
    if command == "blockdev-create" { try client.execute(JobDismiss { $0.id = name }) }
    // Events that nobody looks at would pile up here.
    while try client.nextEvent(timeout: .zero) != nil {}
    count()
  }

  /// A job that did not end as it should.
  struct UnexpectedEnd: Error {
    let job: String
    let error: String?
  }
}
