import ArgumentParser
import JSONValue
import QMP
import QMPClient

/// `compare`: what `qemu-img compare` does, with its words and its exit codes: 0 the same, 1
/// different, 2 an image that cannot be opened, 4 one that cannot be read.
struct Compare: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Tells whether guests of two images read the same.")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var image: ImageOptions
  @OptionGroup var sharing: SharingOptions

  @Option(
    name: [.customShort("F", allowingJoined: true), .customLong("other-format")],
    help: "The second image's format.")
  var otherFormat: String?

  @OptionGroup var job: JobOptions

  @Argument(help: "One image.")
  var first: String

  @Argument(help: "The other. Past its end it counts as zeros.")
  var second: String

  func run() throws {
    do {
      try connection.withSession { try compare(in: $0) }
    } catch let failure as Failure where failure.status == 1 {
      throw Failure(failure.message, status: 2)
    } catch let error as QMPClientError {
      throw Failure(error.description, status: 2)
    }
  }

  private func compare(in session: Session) throws {
    var other = image
    other.format = otherFormat
    let use = ImageFile.Use.look(forceShare: sharing.forceShare)
    let disks = [
      try ImageFile(first, image, for: use), try ImageFile(second, other, for: use, flag: "-F"),
    ]
    var lengths: [Int] = []
    let found = try job.run(
      on: disks, queries: sizes, in: session, status: 4,
      answered: { lengths = try $0.map { try NodeInfo(wire: $0, at: .reply).virtualSize } },
      { images in
        BlockCompare { ($0.node, $0.other) = (images[0].nodeName, images[1].nodeName) }
      })
    guard let found else { throw Failure("qblockd does not say what it found", status: 4) }
    let result = try CompareResult(wire: found, at: .reply)
    if !session.isJSON && !job.quiet { say(result, lengths) }
    if !result.equal { throw ExitCode(1) }
  }

  private func sizes(of disks: [ImageFile]) -> [QMPRequest] {
    disks.map { disk in QMPRequest(NodeInfoQuery { $0.node = disk.nodeName }) }
  }

  private func say(_ result: CompareResult, _ lengths: [Int]) {
    let common = lengths.min() ?? 0
    if common != lengths.max(), result.offset ?? common >= common {
      StandardStream.output.line("Warning: Image size mismatch!")
    }
    switch result.offset {
    case let offset?: StandardStream.output.line("Content mismatch at offset \(offset)!")
    case nil: StandardStream.output.line("Images are identical.")
    }
  }
}
