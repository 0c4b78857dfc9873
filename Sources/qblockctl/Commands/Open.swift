import ArgumentParser
import JSONValue
import QMP
import QMPClient

/// `open`: a node that stays.
struct Open: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Opens an image as a node, and prints the node's name.")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var image: ImageOptions

  @Option(name: [.short, .long], help: "The node's name.")
  var name: String?

  @Flag(help: "Open it for reading only.")
  var readOnly = false

  @Argument(help: "The image.")
  var file: String

  func run() throws {
    try connection.withSession { session in
      let disk = try ImageFile(file, image, for: readOnly ? .read : .write, nodeName: name)
      try disk.open(in: session)
      if session.isJSON { return session.say(["node-name": .string(disk.nodeName)]) }
      StandardStream.output.line(disk.nodeName)
    }
  }
}
