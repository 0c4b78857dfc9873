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

  private let process = Process()
  private let output = Pipe()
  private let errors = Pipe()
  private var lines = Data()

  private init(
    _ arguments: [String], in directory: TemporaryDirectory, _ variables: [String: String]
  ) throws {
    process.executableURL = URL(fileURLWithPath: DaemonProcess.program("qblockctl"))
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(variables) { $1 }
    process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = errors
    try process.run()
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
  var pid: Int32 { process.processIdentifier }

  /// The next line that it writes; nil when there is none any more.
  func nextLine() -> String? {
    while true {
      if let end = lines.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: lines[..<end], as: UTF8.self)
        lines.removeSubrange(...end)
        return line
      }
      let more = output.fileHandleForReading.availableData
      guard !more.isEmpty else { return nil }
      lines += more
    }
  }

  /// Whether it has written something that nobody has read, or has ended.
  var hasOutput: Bool {
    var polled = pollfd(
      fd: output.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0)
    return !lines.isEmpty || poll(&polled, 1, 0) == 1
  }

  /// Sends it a signal.
  func signal(_ number: Int32) { kill(pid, number) }

  /// Waits until it ends. Little enough is written to standard error to fit into a pipe.
  func end() throws -> Outcome {
    let rest = lines + output.fileHandleForReading.readDataToEndOfFile()
    let complaint = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Outcome(
      status: process.terminationStatus, output: String(decoding: rest, as: UTF8.self),
      errors: String(decoding: complaint, as: UTF8.self))
  }
}
