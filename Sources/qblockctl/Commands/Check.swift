import ArgumentParser
import JSONValue
import QMP
import QMPClient

/// `check`: what `qemu-img check` does, with its words and its exit codes: 0 sound, 1 not checked,
/// 2 damaged, 3 leaks only, 63 a format that has nothing to check.
struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Checks an image's metadata, and repairs them if told to.")

  /// The forms of the answer.
  enum Form: String, ExpressibleByArgument { case human, json }

  @OptionGroup var connection: ConnectionOptions

  @OptionGroup var image: ImageOptions

  @Option(
    name: [.customShort("r", allowingJoined: true), .long],
    help: "leaks: free what nothing uses. all: also make refcounts and flags right.")
  var repair: BlockCheck.Fix?

  @OptionGroup var sharing: SharingOptions

  @Option(help: "human or json.")
  var output = Form.human

  @Flag(name: [.customShort("p"), .customLong("progress")], help: "Show how far it is.")
  var progress = false

  @Flag(name: [.customShort("q"), .customLong("quiet")], help: "Say nothing but errors.")
  var quiet = false

  @Argument(help: "The image.")
  var file: String

  func run() throws {
    try connection.withSession { session in
      let result = try check(in: session)
      if !session.isJSON {
        for finding in result.findings { StandardStream.errors.line(finding) }
        if !quiet { StandardStream.output.lines(text(of: result)) }
      }
      if result.checkErrors > 0 { throw Failure("Check failed") }
      if result.corruptions > 0 { throw ExitCode(2) }
      if result.leaks > 0 { throw ExitCode(3) }
    }
  }

  private func check(in session: Session) throws -> ImageCheck {
    if sharing.forceShare && repair != nil {
      throw Failure(
        "Could not open '\(file)': With -U (--force-share) somebody else may be writing to it, "
          + "so it cannot be repaired")
    }
    // Where it is to be repaired the job opens the file for writing itself.
    let disk = try openable().alone(forCheck: true)
    var run = JobRun(
      session: session, id: uniqueName("check"),
      display: ProgressDisplay(
        isJSON: session.isJSON, progress: progress, quiet: quiet || output == .json))
    let (id, fix) = (run.id, repair ?? .none)
    let outcome: JobOutcome
    do {
      outcome = try run.run([disk]) { images in
        [
          QMPRequest(
            BlockCheck {
              $0.node = images[0].nodeName
              $0.fix = fix
              $0.job.id = id
              $0.job.ownNodes = images.ownNodes
            })
        ]
      }
    } catch QMPClientError.refused(let refusal)
      where refusal.message == BlockCheck.unsupportedFormat
    {
      throw Failure(refusal.message, status: Check.uncheckable)
    }
    if let error = outcome.error { throw Failure("Check failed: \(error)") }
    guard let found = outcome.result else { throw Failure("qblockd does not say what it found") }
    return try ImageCheck(wire: found, at: .reply)
  }

  private func openable() throws -> ImageFile {
    do {
      return try ImageFile(file, image, for: sharing.forceShare ? .look(forceShare: true) : .read)
    } catch var failure as Failure where failure.isFormatMissing {
      // Whatever it is, only qcow2 can be checked, and it does not begin like one.
      failure.status = Check.uncheckable
      throw failure
    }
  }

  /// The exit status for a format that has nothing to check.
  private static let uncheckable: Int32 = 63

  private func text(of result: ImageCheck) -> String {
    switch output {
    case .human: CheckText.human(result)
    case .json: CheckText.json(result, file: file, format: ImageFormat.qcow2.rawValue)
    }
  }
}

extension BlockCheck.Fix: ExpressibleByArgument {
  /// What can be asked for by name; no repair is asked for by saying nothing.
  static var allValueStrings: [String] { [leaks.rawValue, all.rawValue] }

  init?(argument: String) {
    guard BlockCheck.Fix.allValueStrings.contains(argument) else { return nil }
    self.init(rawValue: argument)
  }
}
