import Foundation
import TestSupport

/// A `qemu-storage-daemon` that commits and streams, spoken to over its standard input and output.
///
/// Isolation: one thread.
final class QemuStorageDaemon {
  private let files: SceneFiles
  private let process: ChildProcess
  private var seen = ""

  /// Starts it, by `launcher`, with the chain of `files` open as nodes of the files' names.
  init(_ launcher: [String], chain files: SceneFiles) throws {
    self.files = files
    process = try ChildProcess(
      launcher + [
        "qemu-storage-daemon", "--blockdev", QemuStorageDaemon.node(files.names[...], files),
        "--chardev", "stdio,id=c", "--monitor", "chardev=c",
      ], input: .pipe, errors: .inherited)
    send(#"{"execute": "qmp_capabilities"}"#)
  }

  /// Commits what lies between the top and the base into the base, and ends the daemon as soon as
  /// that is said to be done.
  func commitIntermediate() throws {
    try carryOut(
      """
      {"execute": "block-commit", "arguments": {"job-id": "j", "device": "top", \
      "top-node": "\(files.names[files.names.count - 2])", "base-node": "\(files.names[0])", \
      "backing-file": "\(files.names[0])"}}
      """)
  }

  /// Copies what lies between the top and the base up into the top, or all that lies under it, and
  /// ends the daemon likewise.
  func stream(toBase: Bool) throws {
    let base = files.names[0]
    let words = toBase ? #", "base-node": "\#(base)", "backing-file": "\#(base)""# : ""
    try carryOut(
      #"{"execute": "block-stream", "arguments": {"job-id": "j", "device": "top"\#(words)}}"#)
  }

  private func carryOut(_ command: String) throws {
    send(command)
    try waitFor("BLOCK_JOB_COMPLETED")
    send(#"{"execute": "quit"}"#)
    let status = process.wait().status
    guard status == 0 else {
      throw ErrandFailure(description: "qemu-storage-daemon ended with \(status)")
    }
  }

  private func send(_ line: String) {
    process.write("\(line)\n")
  }

  private func waitFor(_ mark: String) throws {
    while !seen.contains(mark) {
      let more = process.read()
      seen += String(decoding: more, as: UTF8.self)
      if more.isEmpty || seen.contains(#""error""#) { throw ErrandFailure(description: seen) }
    }
  }

  /// The options of the last of `names` over the others.
  private static func node(_ names: ArraySlice<String>, _ files: SceneFiles) -> String {
    guard let name = names.last else { return "null" }
    let format = names.count == 1 && files.hasRawBase ? "raw" : "qcow2"
    let file = #"{"driver": "file", "filename": "\#(files.directory.file(name))"}"#
    let backing = format == "raw" ? "" : #", "backing": \#(node(names.dropLast(), files))"#
    return #"{"driver": "\#(format)", "node-name": "\#(name)", "file": \#(file)\#(backing)}"#
  }
}
