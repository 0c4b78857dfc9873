import ArgumentParser
import QMP
import QMPClient

/// `write`: bytes into a disk, as its guest would write them.
struct Write: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes a pattern, or the bytes of a file, as a guest would.")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var image: ImageOptions
  @OptionGroup var job: JobOptions

  @Option(help: ArgumentHelp("The byte to write, 0 to 255, or 0x0 to 0xff.", valueName: "byte"))
  var pattern: PatternByte?

  @Option(
    help: ArgumentHelp(
      "The file whose first bytes to write; zeros follow its end.", valueName: "path"))
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
    let (offset, length) = (try offset.bytes("offset"), try length.bytes("length"))
    try connection.withSession { session in
      let disk = try ImageFile(file, image, for: .write)
      try job.run(on: [disk], in: session) { images in
        BlockWrite {
          ($0.node, $0.offset, $0.length) = (images[0].nodeName, offset, length)
          $0.pattern = pattern.map { Int($0.value) }
          $0.from = from.map(absolutePath)
        }
      }
      guard !job.quiet, !session.isJSON else { return }
      StandardStream.output.line("Wrote \(length) bytes at offset \(offset).")
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
