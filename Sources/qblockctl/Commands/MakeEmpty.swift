import ArgumentParser
import QMP
import QMPClient

/// `make-empty`: an overlay becomes what it was when it was new.
struct MakeEmpty: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Empties an overlay whose data its backing file has.")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var image: ImageOptions

  @Flag(help: "Do not compare first: what only the overlay has is lost.")
  var force = false

  @Option(help: "How: reset (new tables), discard (cluster by cluster), or auto.")
  var mode = BlockMakeEmpty.Mode.auto

  @Flag(help: "Free persistent bitmaps, which cannot be kept, instead of refusing.")
  var dropBitmaps = false

  @OptionGroup var job: JobOptions

  @Argument(help: "The overlay.")
  var file: String

  func run() throws {
    try connection.withSession { session in
      let overlay = try ImageFile(file, image, for: .write, dropBitmaps: dropBitmaps)
      try job.run(on: [overlay], in: session) { images in
        BlockMakeEmpty { ($0.node, $0.mode, $0.force) = (images[0].nodeName, mode, force) }
      }
      if !job.quiet && !session.isJSON { StandardStream.output.line("Image emptied.") }
    }
  }
}

extension BlockMakeEmpty.Mode: ExpressibleByArgument {}
