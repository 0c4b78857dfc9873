import ArgumentParser
import QMP
import QMPClient

/// `checksum`: one number for all that a guest reads.
struct Checksum: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prints the SHA-256 of all that a guest reads.")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var image: ImageOptions
  @OptionGroup var sharing: SharingOptions
  @OptionGroup var job: JobOptions

  @Argument(help: "The image.")
  var file: String

  func run() throws {
    try connection.withSession { session in
      let disk = try ImageFile(file, image, for: .look(forceShare: sharing.forceShare))
      let found = try job.run(on: [disk], in: session) { images in
        BlockChecksum { $0.node = images[0].nodeName }
      }
      guard let found, !session.isJSON else { return }
      let result = try ChecksumResult(wire: found, at: .reply)
      StandardStream.output.line("\(result.digest)  \(file)")
    }
  }
}
