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
    let process = try ChildProcess([tool] + arguments)
    let output = String(decoding: process.readToEnd(), as: UTF8.self)
    return Outcome(status: process.wait().status, output: output)
  }
}

/// A `qemu-io` that holds an image open until it is told to let go.
///
/// Isolation: one test.
package final class ImageHolder {
  private let process: ChildProcess

  /// Starts `qemu-io` with these arguments, and returns when it has opened the image.
  package init(_ arguments: String...) throws {
    process = try ChildProcess(["qemu-io"] + arguments, input: .pipe)
    process.write("length\n")
    // The answer stands after a prompt, in the first line that comes.
    var seen: [UInt8] = []
    while !seen.contains(UInt8(ascii: "\n")) {
      let more = process.read()
      guard !more.isEmpty else { throw CocoaError(.executableLoad) }
      seen += more
    }
  }

  /// The process.
  package var pid: Int32 { process.pid }

  /// Closes the image and waits until the process is gone.
  package func release() {
    process.closeInput()
    process.wait()
  }

  deinit { release() }
}
