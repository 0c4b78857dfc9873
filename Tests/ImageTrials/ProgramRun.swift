import Foundation
import TestSupport

/// How a run of a program ended.
///
/// Isolation: value.
struct ProgramRun: Sendable {
  /// Its exit status; nil where a signal ended it.
  var status: Int32?
  /// What it wrote to standard output and standard error.
  let output: String
  /// How long it took, in seconds.
  let seconds: Double

  /// More than any run may take; then it is ended, by SIGKILL.
  static let mostSeconds = 30

  /// Runs the built program `name` until it ends, or has to be.
  static func of(_ name: String, _ arguments: [String]) throws -> ProgramRun {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments =
      ["timeout", "-s", "KILL", "\(mostSeconds)", DaemonProcess.program(name)] + arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = output
    let clock = ContinuousClock()
    let start = clock.now
    try process.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    // `timeout` ends as its child does, with 128 and the signal's number where it is one.
    let status = process.terminationReason == .exit ? process.terminationStatus : 128
    return ProgramRun(
      status: status < 128 ? status : nil, output: String(decoding: bytes, as: UTF8.self),
      seconds: (clock.now - start) / .seconds(1))
  }
}
