import TestSupport
import Testing

/// A daemon, a directory of images, and the client between them.
///
/// Isolation: one test.
final class ClientStage {
  let directory: TemporaryDirectory
  let daemon: DaemonProcess

  init() throws {
    directory = try TemporaryDirectory(in: "/tmp")
    daemon = try DaemonProcess.start()
  }

  /// Runs the client with these arguments.
  func ctl(_ arguments: String...) throws -> ClientProgram.Outcome {
    try ClientProgram.run(["--socket", daemon.socket] + arguments, in: directory)
  }

  /// Runs the client, which has to succeed without a complaint, and returns what it says.
  @discardableResult
  func done(_ arguments: String..., location: SourceLocation = #_sourceLocation) throws -> String {
    let outcome = try ClientProgram.run(
      ["--socket", daemon.socket] + arguments, in: directory)
    #expect(outcome.status == 0, sourceLocation: location)
    #expect(outcome.errors == "", sourceLocation: location)
    return outcome.output
  }

  /// Starts the client with these arguments.
  func start(_ arguments: String...) throws -> ClientProgram {
    try ClientProgram.start(["--socket", daemon.socket] + arguments, in: directory)
  }

  /// Runs qemu-img in the directory.
  func img(_ arguments: String...) throws -> QemuTools.Outcome {
    try QemuTools.run(
      "sh", ["-c", "cd \"$0\" && exec qemu-img \"$@\"", directory.path] + arguments)
  }

  /// Makes the images `base`, `mid` and `top` of these sizes, each over the one before.
  func makeChain(_ sizes: [String] = ["64M", "64M", "64M"], options: String = "compat=1.1") throws {
    var below: String?
    for (name, size) in zip(["base", "mid", "top"], sizes) {
      let over = below.map { ["-b", $0, "-F", "qcow2"] } ?? []
      let made = try QemuTools.run(
        "sh",
        ["-c", "cd \"$0\" && exec qemu-img create -q -f qcow2 \"$@\"", directory.path]
          + over + ["-o", options, name, size])
      #expect(made.status == 0, "\(made.output)")
      below = name
    }
  }

  /// Has qemu-io write to an image.
  func write(_ image: String, _ commands: String...) throws {
    for command in commands {
      let done = try QemuTools.io(directory.file(image), command)
      #expect(done.status == 0, "\(done.output)")
    }
  }

  /// The checksum of what a guest of `image` reads, by QEMU's reading.
  func digest(_ image: String) throws -> String {
    _ = try img("convert", "-O", "raw", image, "\(image).raw")
    let sum = try QemuTools.run("sha256sum", [directory.file("\(image).raw")])
    return String(sum.output.prefix(64))
  }
}
