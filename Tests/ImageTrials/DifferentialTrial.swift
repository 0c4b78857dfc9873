import Foundation
import JSONValue
import QMP
import QMPClient
import Synchronization
import TestSupport

/// Random valid images, each read by this program and by QEMU's tools: the map, the check and the
/// content must be the same, and the content what was written.
///
/// Isolation: any thread; state behind `state`.
package final class DifferentialTrial: Sendable {
  private struct State {
    var next: UInt64
    var complaints: [String] = []
  }

  private let state: Mutex<State>
  private let end: UInt64

  /// A trial of `count` images from `seed` on.
  package init(_ count: Int, from seed: UInt64) {
    state = Mutex(State(next: seed))
    end = seed + UInt64(count)
  }

  /// What is wrong so far; each begins with the seed that shows it.
  package var complaints: [String] { state.withLock { $0.complaints } }

  /// Tries all images, `width` at once. Blocks.
  package func run(width: Int) {
    DispatchQueue.concurrentPerform(iterations: width) { _ in
      do {
        let bench = try DifferentialBench()
        while let seed = nextSeed() { try run(seed, on: bench) }
      } catch {
        complain("No bench: \(error)")
      }
    }
  }

  private func run(_ seed: UInt64, on bench: DifferentialBench) throws {
    do {
      let image = try RandomImage(seed: seed, in: bench.directory)
      for complaint in try bench.differences(image) {
        complain("seed \(seed): \(image.story): \(complaint)")
      }
    } catch let error where !(error is QMPClientError) {
      complain("seed \(seed): \(error)")
    }
  }

  private func nextSeed() -> UInt64? {
    state.withLock { state in
      guard state.next < end else { return nil }
      defer { state.next += 1 }
      return state.next
    }
  }

  private func complain(_ text: String) { state.withLock { $0.complaints.append(text) } }
}

/// A daemon and a directory, for one image after the other.
///
/// Isolation: one owner.
private final class DifferentialBench {
  let directory: TemporaryDirectory
  private let daemon: DaemonProcess
  private let client: QMPClient

  init() throws {
    directory = try TemporaryDirectory(in: "/tmp")
    daemon = try DaemonProcess.start()
    client = try daemon.client()
  }

  /// Where we and QEMU, or we and what was written, say different things.
  func differences(_ image: RandomImage) throws -> [String] {
    var complaints: [String] = []
    func expect(_ what: String, _ ours: String, _ theirs: String) {
      if ours != theirs { complaints.append("\(what): \(ours) and not \(theirs)") }
    }
    let (map, check) = try answers(image.path)
    let theirMap = try QemuTools.img("map", "--output=json", "-f", "qcow2", image.path)
    expect("map", map, theirMap.output)
    // Its findings stand in standard error.
    let theirCheck = try QemuTools.run(
      "sh", ["-c", "exec qemu-img check --output=json -f qcow2 \"$0\" 2>&1", image.path])
    expect("check", check, theirCheck.output)
    let raw = directory.file("raw")
    let converted = try QemuTools.img("convert", "-f", "qcow2", "-O", "raw", image.path, raw)
    expect("convert", "", converted.output)
    let ours = try image.contents()
    if !ours.isSame(as: try directory.read("raw")) { complaints.append("contents differ") }
    if !ours.isSame(as: image.model) { complaints.append("contents are not what was written") }
    return complaints
  }

  /// The map and the check of the image, as a daemon's client prints them.
  private func answers(_ path: String) throws -> (map: String, check: String) {
    try client.add("n", path) { $0.readOnly = true }
    defer { _ = try? client.execute(BlockdevDel { $0.nodeName = "n" }) }
    return (try map(), try check(path))
  }

  private func map() throws -> String {
    var map = MapText(.json, files: [])
    var text = map.head
    var next: Int? = 0
    while let offset = next {
      let page = try client.execute(
        NodeMapQuery { ($0.node, $0.offset, $0.limit) = ("n", offset, 1000) })
      text += try map.lines(page.extents)
      next = page.next
    }
    return text + (try map.end())
  }

  private func check(_ path: String) throws -> String {
    try client.execute(
      BlockCheck { ($0.node, $0.job.id, $0.job.autoDismiss) = ("n", "j", false) })
    let outcome = try client.conclude()
    guard let result = outcome.result else { return outcome.error ?? "" }
    return CheckText.json(try ImageCheck(wire: result, at: .reply), file: path, format: "qcow2")
  }
}
