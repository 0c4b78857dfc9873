import Foundation

/// QEMU's tools, the oracle of many tests.
package enum QemuTools {
  /// How a tool ended.
  package struct Outcome: Sendable {
    /// Its exit status.
    package let status: Int32
    /// What it wrote to standard output and standard error.
    package let output: String
  }

  /// Runs `qemu-img` with these arguments until it ends.
  @discardableResult
  package static func img(_ arguments: String...) throws -> Outcome {
    try run("qemu-img", arguments)
  }

  /// Runs `qemu-io` on the image `path` with these commands until it ends.
  @discardableResult
  package static func io(
    _ path: String, format: String = "qcow2", _ commands: String...
  ) throws -> Outcome {
    try run("qemu-io", ["-f", format, path] + commands.flatMap { ["-c", $0] })
  }

  /// Runs `tool` with these arguments until it ends.
  package static func run(_ tool: String, _ arguments: [String]) throws -> Outcome {
    let (process, output) = start(tool, arguments)
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Outcome(
      status: process.terminationStatus, output: String(decoding: bytes, as: UTF8.self))
  }

  /// Where `tool` lies; by way of `env`, which tells when it is missing, if it is not found.
  private static func command(_ tool: String) -> [String] {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin"
    let places = path.split(separator: ":").map { "\($0)/\(tool)" }
    guard let found = places.first(where: FileManager.default.isExecutableFile) else {
      return ["/usr/bin/env", tool]
    }
    return [found]
  }

  /// A tool that is ready to run, found by its name, and the pipe of its output.
  static func start(_ tool: String, _ arguments: [String]) -> (Process, Pipe) {
    let process = Process()
    let output = Pipe()
    let command = command(tool)
    process.executableURL = URL(fileURLWithPath: command[0])
    process.arguments = command.dropFirst() + arguments
    process.standardOutput = output
    process.standardError = output
    return (process, output)
  }
}

/// A `qemu-io` that holds an image open until it is told to let go.
///
/// Isolation: one test.
package final class ImageHolder {
  private let process: Process
  private let input = Pipe()

  /// Starts `qemu-io` with these arguments, and returns when it has opened the image.
  package init(_ arguments: String...) throws {
    let output: Pipe
    (process, output) = QemuTools.start("qemu-io", arguments)
    process.standardInput = input
    try process.run()
    input.fileHandleForWriting.write(Data("length\n".utf8))
    // The answer stands after a prompt, in the first line that comes.
    var seen = Data()
    while !seen.contains(UInt8(ascii: "\n")) {
      let more = output.fileHandleForReading.availableData
      guard !more.isEmpty else { throw CocoaError(.executableLoad) }
      seen.append(more)
    }
  }

  /// The process.
  package var pid: Int32 { process.processIdentifier }

  /// Closes the image and waits until the process is gone.
  package func release() {
    try? input.fileHandleForWriting.close()
    process.waitUntilExit()
  }

  deinit { if process.isRunning { release() } }
}
