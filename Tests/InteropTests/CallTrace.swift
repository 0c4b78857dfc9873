import Foundation
import TestSupport
import Testing

/// Programs looked at by strace.
enum CallTrace {
  /// Whether a process may look into others here; strace has to be there.
  static func isPermitted() throws -> Bool {
    try QemuTools.run("strace", ["-o", "/dev/null", "true"]).status == 0
  }

  /// How often a program, whose first word names it, and all that it starts call the kernel.
  static func calls(of words: [String], in directory: TemporaryDirectory) throws -> Int {
    let path = directory.file("calls")
    let outcome = try QemuTools.run(
      "strace", ["-f", "-qq", "-c", "-U", "name,calls", "-o", path] + words)
    try #require(outcome.status == 0, "\(outcome.output)")
    let last = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").last
    let sum = try #require(last?.split(separator: " "))
    try #require(sum.first == "total")
    return try #require(Int(sum[1]))
  }
}
