import Foundation
import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

/// A daemon with one client, and the images of `ExampleImages` beside it: `overlay` over `middle`
/// over `base`.
///
/// Isolation: one test.
final class DaemonStage {
  let images: ExampleImages
  let daemon: DaemonProcess
  let client: QMPClient

  /// Starts the daemon, with these arguments and this launcher.
  init(arguments: [String] = [], launcher: [String] = []) throws {
    images = try ExampleImages()
    daemon = try DaemonProcess.start(arguments: arguments, launcher: launcher)
    client = try daemon.client()
  }

  /// Opens the chain; the nodes have the names of their images.
  func openChain() throws {
    try client.execute(
      BlockdevAdd(node("overlay", over: node("middle", over: node("base", over: nil)))))
  }

  /// Opens `large` over `disk`, both of which are images of 16 and 4 MiB.
  func openLarge() throws {
    let file = BlockdevReference.options(
      BlockdevOptions(.file(FileOptions(filename: images.directory.file("disk.raw")))))
    let disk = BlockdevOptions(.raw(RawOptions(file: file)), nodeName: "disk")
    try client.execute(BlockdevAdd(node("large", over: disk)))
  }

  /// The image `name` over another, or over nothing whatever its header says.
  func node(_ name: String, over backing: BlockdevOptions?) -> BlockdevOptions {
    let file = BlockdevOptions(.file(FileOptions(filename: path(name))))
    let below = backing.map { BackingReference.reference(.options($0)) } ?? .none
    return BlockdevOptions(
      .qcow2(Qcow2Options(file: .options(file), backing: below)), nodeName: name)
  }

  /// The path of the qcow2 image `name`.
  func path(_ name: String) -> String { images.directory.file("\(name).qcow2") }

  /// Starts a commit of `overlay`, the active layer, changed by `fill`.
  func commit(_ id: String, _ fill: (inout BlockCommit) -> Void = { _ in }) throws {
    try client.execute(
      BlockCommit {
        ($0.jobID, $0.device) = (id, "overlay")
        fill(&$0)
      })
  }

  /// Starts a commit and returns when it is ready.
  func readyCommit(_ id: String, _ fill: (inout BlockCommit) -> Void = { _ in }) throws {
    try commit(id, fill)
    #expect(try wait(id, until: .ready).status == .ready)
  }

  /// Starts a commit that copies one piece and then sleeps for a very long time.
  func slowCommit(_ id: String, _ fill: (inout BlockCommit) -> Void = { _ in }) throws {
    try commit(id) {
      $0.speed = 1
      fill(&$0)
    }
  }

  /// Waits for a job.
  @discardableResult
  func wait(_ id: String, until goal: JobWait.Goal = .concluded) throws -> JobOutcome {
    try client.execute(
      JobWait {
        ($0.id, $0.until) = (id, goal)
        $0.timeoutMilliseconds = 20_000
      })
  }

  /// The events up to the one after which job `id` is in `status`, by name or, for a change of
  /// state, by the state.
  func events(until status: QMP.JobStatus, of id: String) throws -> [String] {
    var seen: [String] = []
    while true {
      let event = try #require(try client.nextEvent(timeout: .seconds(20)), "after \(seen)")
      guard [event.data["id"], event.data["device"]].contains(.string(id)) else { continue }
      let change = try event.payload(as: JobStatusChange.self)
      seen.append(change?.status.rawValue ?? event.name)
      if change?.status == status { return seen }
    }
  }

  /// The job `id` in `query-jobs`.
  func job(_ id: String) throws -> JobInfo {
    try #require(try client.execute(QueryJobs()).first { $0.id == id })
  }

  /// The error with which `command` is refused.
  func refusal(of command: some QMPCommand) throws -> QMPError {
    do {
      try client.execute(command)
    } catch QMPClientError.refused(let error) {
      return error
    }
    throw NotRefused(command: "\(command)")
  }

  /// Ends the daemon, which must end well, and checks that the images are whole.
  func stop(checking names: [String] = ["base", "middle", "overlay"]) throws {
    #expect(daemon.stop() == 0)
    for name in names {
      let check = try QemuTools.img("check", "-q", path(name))
      #expect(check.status == 0, "\(name): \(check.output)")
    }
  }

  /// A command was carried out that should not have been.
  struct NotRefused: Error {
    let command: String
  }
}
