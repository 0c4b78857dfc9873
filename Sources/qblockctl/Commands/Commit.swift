import ArgumentParser
import JSONValue
import QMP
import QMPClient

/// `commit`: what `qemu-img commit` does, with its options, its words and its exit codes.
struct Commit: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Copies an overlay's data down into its backing file, and empties the overlay.")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var image: ImageOptions

  @Option(
    name: [.customShort("b", allowingJoined: true), .customLong("base")],
    help: ArgumentHelp(
      "The image of the chain to copy into, where it is not the next one. Implies -d.",
      valueName: "file"))
  var base: String?

  @Flag(
    name: [.customShort("d"), .customLong("drop")],
    help: "Leave the overlay as it is: it is going to be thrown away.")
  var drop = false

  @OptionGroup var job: JobOptions

  @Flag(help: "Free persistent bitmaps, which cannot be kept, instead of refusing.")
  var dropBitmaps = false

  @Flag(help: "Do not write again what the base shows already; reads it to compare.")
  var skipIdentical = false

  @Argument(help: "The overlay.")
  var file: String

  func run() throws {
    try connection.withSession { session in
      var outcome: JobOutcome
      do {
        outcome = try commit(in: session, base)
      } catch QMPClientError.refused(let error) where isUnknownBase(error) {
        outcome = try commitByPath(in: session)
      }
      if let error = outcome.error { throw Failure("Block job failed: \(error)") }
      guard !job.quiet, !session.isJSON else { return }
      warn(of: try outcome.result.map { try CommitResult(wire: $0, at: .reply) })
      StandardStream.output.line("Image committed.")
    }
  }

  private func commit(in session: Session, _ base: String?) throws -> JobOutcome {
    let keepsOverlay = drop || base != nil
    let overlay = try ImageFile(
      file, image, for: keepsOverlay ? .read : .write, dropBitmaps: dropBitmaps)
    let id = uniqueName("commit")
    let speed = try job.speed()
    let command = BlockCommit {
      $0.jobID = id
      $0.device = overlay.nodeName
      $0.base = base
      $0.baseDepth = base == nil ? 1 : nil
      $0.speed = speed
      $0.autoComplete = true
      $0.makeEmpty = !keepsOverlay
      $0.skipIdentical = skipIdentical
      $0.ownNodes = [overlay.nodeName]
    }
    let display = job.display(in: session, likeQemu: true)
    var run = JobRun(session: session, id: id, display: display)
    return try run.run([overlay]) { _ in [QMPRequest(command)] }
  }

  /// A base that the chain does not know by the name given may be meant from the current directory.
  private func commitByPath(in session: Session) throws -> JobOutcome {
    let unknown = Failure("Did not find '\(base ?? "")' in the backing chain of '\(file)'")
    guard let base, !base.hasPrefix("/") else { throw unknown }
    do {
      return try commit(in: session, absolutePath(base))
    } catch QMPClientError.refused(let error) where isUnknownBase(error) {
      throw unknown
    }
  }

  private func isUnknownBase(_ error: QMPError) -> Bool {
    base != nil && error.message.hasPrefix("Can't find '")
  }

  private func warn(of result: CommitResult?) {
    guard let images = result?.invalidImages, !images.isEmpty else { return }
    StandardStream.errors.line(
      "qblockctl: Warning: these images no longer show what they did: "
        + images.joined(separator: ", "))
  }
}
