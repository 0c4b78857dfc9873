import Foundation
import JSONValue
import TestSupport
import Testing

@Suite("qblock-bench")
struct BenchmarkTests {
  /// A run of a small part of every workload's data.
  private func bench(_ arguments: String...) throws -> String {
    let outcome = try QemuTools.run(
      DaemonProcess.program("qblock-bench"), ["--pairs", "1", "--scale", "1024"] + arguments)
    try #require(outcome.status == 0, "\(outcome.output)")
    return outcome.output
  }

  @Test("measures every workload, and finds that both programs do the same")
  func everything() throws {
    let directory = try TemporaryDirectory()
    let output = try bench("--json", "--directory", directory.path)
    var seen: Set<String> = []
    for line in output.split(separator: "\n") where line.hasPrefix("{") {
      let figures = try #require(try JSONValue.parse(String(line)).objectValue)
      guard figures["event"]?.stringValue == "workload" else { continue }
      let name = try #require(figures["workload"]?.stringValue)
      seen.insert(name)
      #expect(figures["ratios"]?.objectValue?["ratio"]?.objectValue?["median"] != nil, "\(line)")
      guard let switching = figures["second-switch"]?.objectValue else {
        // Only where nobody may look into other processes.
        #expect(try !name.hasPrefix("empty") || name == "empty-discard" || !CallTrace.isPermitted())
        continue
      }
      #expect((switching["flushes"]?.integerValue ?? 9) <= 8, "\(line)")
      #expect((switching["metadata-bytes"]?.integerValue ?? 0) > 0, "\(line)")
    }
    #expect(seen.count == 16, "\(seen.sorted())")
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
  }

  @Test("writes its tables and a chart into files")
  func document() throws {
    let directory = try TemporaryDirectory()
    _ = try bench(
      "--directory", directory.path, "--write", directory.path, "--workload", "raw", "empty")
    let text = String(decoding: try directory.read("BENCHMARKS.md"), as: UTF8.self)
    #expect(text.contains("\n| raw | ") && text.contains("\n| empty | "))
    #expect(String(decoding: try directory.read("BENCHMARKS.svg"), as: UTF8.self).contains("<svg"))
  }
}
