import Foundation
import QMP
import QMPClient
import TestSupport
import Testing

/// The most memory that a process ever had, in bytes.
private func peakMemory(of pid: Int32) throws -> Int {
  let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
  let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
  return try #require(line.split(separator: " ").compactMap { Int($0) }.first) * 1024
}

private func add(_ path: String, _ client: QMPClient, cache: (inout Qcow2Options) -> Void) throws {
  var file = FileOptions()
  file.filename = path
  var qcow2 = Qcow2Options(file: .options(BlockdevOptions(.file(file))))
  cache(&qcow2)
  _ = try client.execute(BlockdevAdd(BlockdevOptions(.qcow2(qcow2), nodeName: "disk")))
}

@Test("A disk of 2 EiB, whose L1 table has 32 MiB, is opened and looked through in 64 MiB")
func largestDisk() throws {
  let directory = try TemporaryDirectory()
  let path = directory.file("large.qcow2")
  let made = try QemuTools.img(
    "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", path, "\(1 << 61)")
  try #require(made.status == 0, "\(made.output)")
  let written = try QemuTools.run(
    "qemu-io", ["-f", "qcow2", path, "-c", "write -P 7 \(1 << 60) 64k"])
  try #require(written.status == 0, "\(written.output)")
  let daemon = try DaemonProcess.start()
  let client = try daemon.client()
  try add(path, client) { _ in }
  let nodes = try client.execute(QueryNamedBlockNodes())
  #expect(nodes.contains { $0.nodeName == "disk" && $0.image.virtualSize == 1 << 61 })
  #expect(try peakMemory(of: daemon.pid) <= 64 << 20)
  #expect(daemon.stop() == 0)
}

@Test("--cache-size takes a size with a suffix, and nothing else")
func cacheSizeArgument() throws {
  let daemon = try DaemonProcess.start(arguments: ["--cache-size", "4M"])
  #expect(daemon.stop() == 0)
  for wrong in ["four", "-1", "4X", ""] {
    let failure = try #require(throws: DaemonProcess.StartFailure.self) {
      try DaemonProcess.start(arguments: ["--cache-size=\(wrong)"])
    }
    #expect(failure.status != 0 && failure.output.contains("cache-size"), "\(failure.output)")
  }
}

@Test("blockdev-add takes QEMU's cache sizes, and refuses those that contradict each other")
func cacheSizeOptions() throws {
  let images = try ExampleImages()
  let path = images.directory.file("base.qcow2")
  let daemon = try DaemonProcess.start()
  let client = try daemon.client()
  let error = try #require(throws: QMPClientError.self) {
    try add(path, client) {
      $0.cacheSize = 1 << 20
      $0.l2CacheSize = 2 << 20
    }
  }
  #expect(error.description.contains("l2-cache-size may not exceed cache-size"))
  try add(path, client) {
    $0.cacheSize = 2 << 20
    $0.l2CacheSize = 1 << 20
  }
  #expect(daemon.stop() == 0)
}
