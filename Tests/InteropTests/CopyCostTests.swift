import Foundation
import QMP
import QMPClient
import TestSupport
import Testing

/// What a commit costs beside its bytes, counted at the whole daemon: calls that move bytes, by the
/// kernel (proc(5), `/proc/[pid]/io`), all system calls, by strace, and requests for memory, by a
/// library in it. The counts of two commits are subtracted, so that only what grows with the data
/// is left.
@Suite("what a MiB of a commit costs")
struct CopyCostTests {
  /// What the overlay holds in each of its MiB.
  enum Contents: String, CaseIterable, CustomTestStringConvertible {
    case contiguous, everyOtherCluster, compressed
    /// 16 clusters, each in the range of a table of its own.
    case farApart

    var testDescription: String { rawValue }

    /// At most so many calls that move bytes and calls of all kinds, so many bytes read, and so
    /// many requests for memory, for a MiB. Bytes are the data and, where they are worth a word,
    /// the tables, once; the others half as many again as a debug build needs, which asks for
    /// memory far more often than a release build. Where the machine has other things to do it asks
    /// more often, and its threads wait for each other more often.
    var limits: (transfers: Double, calls: Double, bytesRead: Double, allocations: Double) {
      switch self {
      case .contiguous: (2, 8, 1.1 * 1_048_576, 600)
      case .everyOtherCluster: (2, 5, 0.6 * 1_048_576, 6_500)
      case .compressed: (2, 7, 0.1 * 1_048_576, 900)
      case .farApart: (150, 260, 2.2 * 1_048_576, 50_000)
      }
    }
  }

  @Test(
    "calls of all kinds stay below their limits",
    .enabled("where a process may look into others") { try CallTrace.isPermitted() },
    arguments: Contents.allCases)
  func calls(data: Contents) throws {
    let directory = try TemporaryDirectory()
    let counts = try [16, 80].map { mebibytes in
      try make(data, mebibytes, in: directory)
      let client = DaemonProcess.program("qblockctl")
      let commit = ["commit", "--private", "-q", "-f", "qcow2", directory.file("top")]
      return try CallTrace.calls(of: [client] + commit, in: directory)
    }
    #expect(Double(counts[1] - counts[0]) / 64 <= data.limits.calls, "\(counts)")
  }

  @Test(
    "calls that move bytes, and requests for memory, stay below their limits",
    arguments: Contents.allCases)
  func cost(data: Contents) throws {
    let directory = try TemporaryDirectory()
    let counter = HeapCounter(in: directory)
    let root = ["--image-root", directory.path]
    let daemon = try DaemonProcess.start(arguments: root, launcher: counter.launcher)
    let client = try daemon.client()
    var costs: [Cost] = []
    for mebibytes in [16, 16, 80] {
      try make(data, mebibytes, in: directory)
      try client.add("top", directory.file("top"))
      let before = try Cost(of: daemon, counter)
      let outcome = try client.commit("top")
      costs.append(try Cost(of: daemon, counter) - before)
      #expect(outcome.error == nil)
      try client.remove("top")
      #expect(
        try QemuTools.img("compare", directory.file("top"), directory.file("whole")).status == 0)
    }
    // The first commit of a process pays for what is made once.
    let cost = costs[2] - costs[1]
    #expect(Double(cost.transfers) / 64 <= data.limits.transfers, "\(costs)")
    #expect(Double(cost.bytesRead) / 64 <= data.limits.bytesRead, "\(costs)")
    #expect(Double(cost.allocations) / 64 <= data.limits.allocations, "\(costs)")
    #expect(daemon.stop() == 0)
  }

  /// `top` over `base`, and `whole` with what `top` shows.
  private func make(_ data: Contents, _ mebibytes: Int, in directory: TemporaryDirectory) throws {
    let (base, top, whole) = (
      directory.file("base"), directory.file("top"), directory.file("whole")
    )
    try QemuTools.img("create", "-f", "qcow2", base, data == .farApart ? "1T" : "128M")
    try QemuTools.img("create", "-f", "qcow2", "-b", base, "-F", "qcow2", top)
    switch data {
    case .contiguous: try QemuTools.io(top, "write -P 5 0 \(mebibytes)M")
    case .everyOtherCluster:
      let writes = (0..<mebibytes * 8).map { "write -P 6 \($0 * 128)k 64k" }
      _ = try QemuTools.run("qemu-io", ["-f", "qcow2", top] + writes.flatMap { ["-c", $0] })
    case .farApart:
      let writes = (0..<mebibytes * 16).map { "write -P 7 \($0 * 512 + 3)M 4k" }
      _ = try QemuTools.run("qemu-io", ["-f", "qcow2", top] + writes.flatMap { ["-c", $0] })
    case .compressed:
      let writes = (0..<mebibytes * 16).map { "write -c -P \($0 % 250 + 1) \($0 * 64)k 64k" }
      _ = try QemuTools.run("qemu-io", ["-f", "qcow2", top] + writes.flatMap { ["-c", $0] })
    }
    try QemuTools.img("convert", "-O", "qcow2", top, whole)
  }
}

/// What a daemon has used until now.
private struct Cost {
  /// Calls that read, write or copy.
  var transfers: Int
  /// What these read, in bytes.
  var bytesRead: Int
  /// Requests for memory.
  var allocations: Int

  init(of daemon: DaemonProcess, _ counter: HeapCounter) throws {
    let io = try String(contentsOfFile: "/proc/\(daemon.pid)/io", encoding: .utf8)
    var counts: [Substring: Int] = [:]
    for line in io.split(separator: "\n") {
      let words = line.split(separator: " ")
      counts[words[0]] = Int(words[1])
    }
    transfers = try #require(counts["syscr:"]) + #require(counts["syscw:"])
    bytesRead = try #require(counts["rchar:"])
    allocations = try counter.count().requests
  }

  private init(transfers: Int, bytesRead: Int, allocations: Int) {
    (self.transfers, self.bytesRead, self.allocations) = (transfers, bytesRead, allocations)
  }

  static func - (one: Cost, other: Cost) -> Cost {
    Cost(
      transfers: one.transfers - other.transfers, bytesRead: one.bytesRead - other.bytesRead,
      allocations: one.allocations - other.allocations)
  }
}
