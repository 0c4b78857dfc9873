import Foundation
import JSONValue
import QMP
import QMPClient
import TestSupport

/// Many commits of small images at one daemon, none of which comes to its end by itself.
///
/// Isolation: one thread.
final class JobPile {
  private let client: QMPClient
  private let directory: TemporaryDirectory
  private let count: Int

  /// Makes `count` overlays, each over a base of its own, and opens them.
  init(_ daemon: DaemonProcess, count: Int) throws {
    self.count = count
    client = try daemon.client()
    directory = try TemporaryDirectory.inMemory()
    let (top, base) = (directory.file("top"), directory.file("base"))
    for arguments in [
      ["create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", base, "1M"],
      ["create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2", "-o", "cluster_size=4k", top],
    ] {
      guard try QemuTools.run("qemu-img", arguments).status == 0 else { throw POSIXError(.EIO) }
    }
    guard try QemuTools.io(top, "write -P 7 0 256k").status == 0 else { throw POSIXError(.EIO) }
    let files = FileManager.default
    for index in 0..<count {
      try files.createDirectory(
        atPath: directory.file("\(index)"), withIntermediateDirectories: false)
      try files.copyItem(atPath: base, toPath: directory.file("\(index)/base"))
      try files.copyItem(atPath: top, toPath: directory.file("\(index)/top"))
    }
  }

  /// Opens the images and starts the jobs.
  func start() throws {
    for index in 0..<count { try client.add("n\(index)", directory.file("\(index)/top")) }
    let starts = (0..<count).map { index in
      QMPRequest(
        execute: BlockCommit.name,
        arguments: BlockCommit {
          ($0.jobID, $0.device, $0.speed) = ("j\(index)", "n\(index)", 1)
          $0.base = directory.file("\(index)/base")
        }.object)
    }
    for answer in try client.execute(together: starts) { _ = try answer.get() }
  }

  /// Cancels them all, and returns when the last one is gone, and how long that took, in seconds.
  @discardableResult
  func cancel() throws -> Double {
    let clock = ContinuousClock()
    let begun = clock.now
    let cancels = (0..<count).map {
      QMPRequest(execute: JobCancel.name, arguments: ["id": .string("j\($0)")])
    }
    for answer in try client.execute(together: cancels) { _ = try answer.get() }
    var left = count
    while left > 0 {
      guard let event = try client.nextEvent(timeout: .seconds(20)) else {
        throw POSIXError(.ETIMEDOUT)
      }
      if try event.payload(as: JobStatusChange.self)?.status == .null { left -= 1 }
    }
    return (clock.now - begun) / .seconds(1)
  }

  /// Closes the images.
  func close() throws {
    for index in 0..<count { try client.remove("n\(index)") }
  }
}
