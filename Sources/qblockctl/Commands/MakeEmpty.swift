import ArgumentParser
import QMP

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
      let overlay = try ImageFile(file, image, readOnly: false, dropBitmaps: dropBitmaps)
      var command = BlockMakeEmpty {
        $0.node = overlay.nodeName
        $0.mode = mode
        $0.force = force
      }
      try job.run(&command, on: [overlay], in: session)
      if !job.quiet && !session.isJSON { StandardStream.output.line("Image emptied.") }
    }
  }
}

extension BlockMakeEmpty.Mode: ExpressibleByArgument {}
