import Foundation
import QMP
import QMPClient
import TestSupport
import Testing

@Test("The service manager hears when the daemon is ready and when it stops")
func serviceNotifications() throws {
  let directory = try TemporaryDirectory(in: "/tmp")
  let manager = try DatagramSocket(binding: directory.file("notify"))
  let daemon = try DaemonProcess.start(
    launcher: ["env", "NOTIFY_SOCKET=\(directory.file("notify"))"])
  #expect(try manager.receive().contains("READY=1"))
  #expect(daemon.stop() == 0)
  var last = ""
  while !last.contains("STOPPING=1") { last = try manager.receive() }
}

@Test("The status names jobs with their progress, while the watchdog is fed")
func statusAndWatchdog() throws {
  let directory = try TemporaryDirectory(in: "/tmp")
  let manager = try DatagramSocket(binding: directory.file("notify"))
  let stage = try DaemonStage(
    launcher: ["env", "NOTIFY_SOCKET=\(directory.file("notify"))", "WATCHDOG_USEC=2000"])
  #expect(try manager.receive() == "READY=1\nSTATUS=Idle")
  for _ in 0..<3 { #expect(try manager.receive() == "WATCHDOG=1") }
  try stage.openChain()
  try stage.readyCommit("j")
  while try manager.receive() != "STATUS=1 job: commit j ready 100 %" {}
  try stage.client.execute(JobCancel { $0.id = "j" })
  while try manager.receive() != "STATUS=Idle" {}
  #expect(try manager.receive() == "WATCHDOG=1")
  try stage.stop()
}

@Test("Of many jobs the status names three")
func statusOfManyJobs() throws {
  let directory = try TemporaryDirectory(in: "/tmp")
  let manager = try DatagramSocket(binding: directory.file("notify"))
  let stage = try DaemonStage(launcher: ["env", "NOTIFY_SOCKET=\(directory.file("notify"))"])
  try stage.makeFiles(4, in: directory)
  var last = ""
  while !last.hasPrefix("STATUS=4 jobs") || !last.contains("make3 concluded") {
    last = try manager.receive()
  }
  #expect(last.contains("create make1 concluded") && last.hasSuffix(", …"))
  try stage.stop()
}

@Test("The status names a running job before those that are over")
func statusOfRunningJob() throws {
  let directory = try TemporaryDirectory(in: "/tmp")
  let manager = try DatagramSocket(binding: directory.file("notify"))
  let stage = try DaemonStage(launcher: ["env", "NOTIFY_SOCKET=\(directory.file("notify"))"])
  try stage.makeFiles(3, in: directory)
  try stage.openChain()
  try stage.slowCommit("j")
  var last = ""
  while !last.hasPrefix("STATUS=4 jobs: commit j running") { last = try manager.receive() }
  #expect(last.contains(", create make1 concluded") && last.hasSuffix(", …"))
  try stage.stop()
}

@Test("A service manager that does not read holds up neither the start nor the end")
func deafManager() throws {
  let directory = try TemporaryDirectory(in: "/tmp")
  let manager = try DatagramSocket(binding: directory.file("notify"))
  try manager.fill(directory.file("notify"))
  let stage = try DaemonStage(launcher: ["env", "NOTIFY_SOCKET=\(directory.file("notify"))"])
  #expect(try stage.client.execute(QueryJobs()).isEmpty)
  // Once it reads, it hears that we are ready.
  while try !manager.receive().contains("READY=1") {}
  try manager.fill(directory.file("notify"))
  try stage.stop()
}

@Test("A watchdog's time that is none ends the start")
func wrongWatchdog() throws {
  let failure = try #require(throws: DaemonProcess.StartFailure.self) {
    try DaemonProcess.start(launcher: ["env", "WATCHDOG_USEC=soon"])
  }
  #expect(failure.status == 1 && failure.output.contains("WATCHDOG_USEC is 'soon'"))
}

extension DaemonStage {
  /// Runs the jobs `make1` to `make\(count)` to their ends, each of which makes a file; they stay.
  fileprivate func makeFiles(_ count: Int, in directory: TemporaryDirectory) throws {
    for number in 1...count {
      let options = FileCreateOptions { $0.filename = directory.file("\(number)") }
      try client.execute(
        BlockdevCreate {
          $0.jobID = "make\(number)"
          $0.options = BlockdevCreateOptions(.file(options))
        })
      try wait("make\(number)")
    }
  }
}

/// What a service manager listens on.
private final class DatagramSocket {
  private let descriptor: Int32

  init(binding path: String) throws {
    descriptor = try openUnixSocket(path, SOCK_DGRAM) { bind($0, $1, $2) }
  }

  deinit { close(descriptor) }

  /// Sends to itself until no more fits in.
  func fill(_ path: String) throws {
    let sender = try openUnixSocket(path, SOCK_DGRAM) { connect($0, $1, $2) }
    defer { close(sender) }
    while send(sender, "full", 4, Int32(MSG_DONTWAIT)) == 4 {}
  }

  /// The next message; an error where none comes.
  func receive() throws -> String {
    var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    try #require(poll(&polled, 1, 20_000) == 1)
    let bytes = [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
      count = max(0, recv(descriptor, buffer.baseAddress, buffer.count, 0))
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
