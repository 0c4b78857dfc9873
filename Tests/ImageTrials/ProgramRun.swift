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
    let clock = ContinuousClock()
    let start = clock.now
    let process = try ChildProcess(
      ["timeout", "-s", "KILL", "\(mostSeconds)", DaemonProcess.program(name)] + arguments)
    let output = String(decoding: process.readToEnd(), as: UTF8.self)
    // `timeout` ends as its child does, with 128 and the signal's number where it is one.
    let status = process.wait().status
    return ProgramRun(
      status: status < 128 ? status : nil, output: output,
      seconds: (clock.now - start) / .seconds(1))
  }
}
