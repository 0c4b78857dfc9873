import Foundation
import TestSupport
import Testing

/// `--io` and `QBLOCKD_IO`.
@Suite("--io")
struct IOBackendTests {
  /// Whether the process holds a ring.
  private static func hasRing(_ pid: Int32) throws -> Bool {
    let directory = "/proc/\(pid)/fd"
    return try FileManager.default.contentsOfDirectory(atPath: directory).contains { name in
      let target = try? FileManager.default.destinationOfSymbolicLink(
        atPath: "\(directory)/\(name)")
      return target?.contains("io_uring") == true
    }
  }

  /// The words that start a program which the kernel gives no ring.
  private static func refused() throws -> [String] {
    // Not what the link points to: the interpreter finds its packages by its own name.
    [try #require(Python.path), Python.script("without_uring.py")]
  }

  @Test("a daemon has rings where it is told so, and where it chooses for itself")
  func backends() throws {
    for (words, launcher, expected) in [
      (["--io", "threads"], [], false), (["--io", "io_uring"], [], true), ([], [], true),
      ([], ["/usr/bin/env", "QBLOCKD_IO=threads"], false),
      (["--io", "auto"], ["/usr/bin/env", "QBLOCKD_IO=threads"], true),
    ] {
      let daemon = try DaemonProcess.start(arguments: words, launcher: launcher)
      #expect(try IOBackendTests.hasRing(daemon.pid) == expected, "\(words) \(launcher)")
      #expect(daemon.stop() == 0)
    }
  }

  @Test("what is no backend is refused by its name, from the command line or the environment")
  func wrongNames() throws {
    for (words, launcher, name) in [
      (["--io", "aio"], [], "--io 'aio'"),
      ([], ["/usr/bin/env", "QBLOCKD_IO=native"], "QBLOCKD_IO 'native'"),
    ] {
      let failure = try #require(throws: DaemonProcess.StartFailure.self) {
        try DaemonProcess.start(arguments: words, launcher: launcher)
      }
      #expect(failure.status == 1)
      #expect(failure.output.contains("\(name) is none of threads, io_uring, auto"))
    }
    let directory = try TemporaryDirectory()
    let outcome = try ClientProgram.run(
      ["--private", "qmp", "query-version"], in: directory, variables: ["QBLOCKD_IO": "native"])
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("QBLOCKD_IO 'native' is none of"))
  }

  @Test("where the kernel refuses rings a daemon that insists on them says so, others go without")
  func withoutRings() throws {
    let failure = try #require(throws: DaemonProcess.StartFailure.self) {
      try DaemonProcess.start(
        arguments: ["--io", "io_uring"], launcher: try IOBackendTests.refused())
    }
    #expect(failure.status == 1)
    #expect(failure.output.contains("The system does not give io_uring"))
    #expect(failure.output.contains("Operation not permitted"))
    let daemon = try DaemonProcess.start(
      arguments: ["--log-level", "info"], launcher: try IOBackendTests.refused())
    #expect(try !IOBackendTests.hasRing(daemon.pid))
    #expect(daemon.stop() == 0)
    #expect(daemon.output.contains("The system gives no io_uring"))
  }

  @Test(
    "a private daemon commits the same by rings and by threads, past the page cache or not",
    arguments: ["threads", "io_uring", "auto"], ["none", "writeback"])
  func commit(backend: String, cache: String) throws {
    let directory = try TemporaryDirectory()
    func qemu(_ words: [String]) throws {
      let made = try QemuTools.run("qemu-img", words)
      try #require(made.status == 0, "\(made.output)")
    }
    try qemu(["create", "-q", "-f", "qcow2", directory.file("base"), "64M"])
    try qemu(
      ["create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2", directory.file("top")])
    // Clusters that lie in another order in the file than on the disk, and a part of one.
    let places = (0..<200).map { $0 * 37 % 200 }
    let writes =
      places.map { "write -P \($0 % 250 + 1) \($0 * 320)k 64k" } + ["write -P 9 65000k 3k"]
    let written = try QemuTools.run(
      "qemu-io", ["-f", "qcow2", directory.file("top")] + writes.flatMap { ["-c", $0] })
    try #require(written.status == 0, "\(written.output)")
    try qemu(["convert", "-O", "raw", directory.file("top"), directory.file("before")])
    let outcome = try ClientProgram.run(
      ["commit", "--private", "-t", cache, "top"], in: directory,
      variables: ["QBLOCKD_IO": backend])
    #expect(outcome.status == 0, "\(outcome.errors)")
    try qemu(["compare", directory.file("before"), directory.file("base")])
    try qemu(["check", directory.file("base")])
  }
}
