import Foundation
import TestSupport

/// A run of `qblockctl`, with the files of one test as its working directory.
///
/// Isolation: one test.
final class ClientProgram {
  /// How a run ended.
  struct Outcome: Equatable {
    let status: Int32
    let output: String
    let errors: String
  }

  private let process: ChildProcess
  private var lines: [UInt8] = []

  private init(
    _ arguments: [String], in directory: TemporaryDirectory, _ variables: [String: String]
  ) throws {
    process = try ChildProcess(
      [DaemonProcess.program("qblockctl")] + arguments, errors: .pipe, variables: variables,
      directory: directory.path)
  }

  /// Runs it with these arguments, and these variables besides ours, until it ends.
  static func run(
    _ arguments: [String], in directory: TemporaryDirectory, variables: [String: String] = [:]
  ) throws -> Outcome {
    try ClientProgram(arguments, in: directory, variables).end()
  }

  /// Starts it with these arguments.
  static func start(
    _ arguments: [String], in directory: TemporaryDirectory
  ) throws -> ClientProgram {
    try ClientProgram(arguments, in: directory, [:])
  }

  /// The process.
  var pid: Int32 { process.pid }

  /// The next line that it writes; nil when there is none any more.
  func nextLine() -> String? {
    while true {
      if let end = lines.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: lines[..<end], as: UTF8.self)
        lines.removeSubrange(...end)
        return line
      }
      let more = process.read()
      guard !more.isEmpty else { return nil }
      lines += more
    }
  }

  /// Whether it has written something that nobody has read, or has ended.
  var hasOutput: Bool { !lines.isEmpty || process.hasOutput }

  /// Sends it a signal.
  func signal(_ number: Int32) { process.signal(number) }

  /// Waits until it ends. Little enough is written to standard error to wait for its reader.
  func end() throws -> Outcome {
    let rest = lines + process.readToEnd()
    let complaint = process.readErrorsToEnd()
    return Outcome(
      status: process.wait().status, output: String(decoding: rest, as: UTF8.self),
      errors: String(decoding: complaint, as: UTF8.self))
  }
}
