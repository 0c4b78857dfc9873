import ArgumentParser
import QMP

/// `write`: bytes into a disk, as its guest would write them.
struct Write: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes a pattern, or the bytes of a file, as a guest would.")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var image: ImageOptions
  @OptionGroup var job: JobOptions

  @Option(help: "The byte to write, 0 to 255.")
  var pattern: PatternByte?

  @Option(help: ArgumentHelp("The file whose first bytes to write.", valueName: "path"))
  var from: String?

  @Argument(help: "The image.")
  var file: String

  @Argument(help: "The first byte to write.")
  var offset: Size

  @Argument(help: "How many bytes to write.")
  var length: Size

  func validate() throws {
    guard (pattern == nil) != (from == nil) else {
      throw ValidationError("Give one of --pattern and --from")
    }
  }

  func run() throws {
    try connection.withSession { session in
      let disk = try ImageFile(file, image, readOnly: false)
      var command = BlockWrite {
        $0.node = disk.nodeName
        $0.offset = offset.bytes
        $0.length = length.bytes
        $0.pattern = pattern.map { Int($0.value) }
        $0.from = from.map(absolutePath)
      }
      try job.run(&command, on: [disk], in: session)
      guard !job.quiet, !session.isJSON else { return }
      StandardStream.output.line("Wrote \(length.bytes) bytes at offset \(offset.bytes).")
    }
  }
}

/// One byte on the command line, decimal or hexadecimal after 0x.
struct PatternByte: ExpressibleByArgument {
  let value: UInt8

  init?(argument: String) {
    let value =
      argument.hasPrefix("0x") ? UInt8(argument.dropFirst(2), radix: 16) : UInt8(argument)
    guard let value else { return nil }
    self.value = value
  }
}
