import ArgumentParser
import JSONValue
import QMP

/// How a command runs the job that does its work.
struct JobOptions: ParsableArguments {
  @Flag(name: [.customShort("p"), .customLong("progress")], help: "Show how far it is.")
  var progress = false

  @Flag(name: [.customShort("q"), .customLong("quiet")], help: "Say nothing but errors.")
  var quiet = false

  @Option(
    name: [.customShort("r"), .customLong("rate-limit")],
    help: ArgumentHelp("At most this many bytes a second.", valueName: "rate"))
  var rate = Size(bytes: 0)

  /// How far the job is, for whoever watches `session`.
  func display(in session: Session, likeQemu: Bool = false) -> ProgressDisplay {
    ProgressDisplay(
      isJSON: session.isJSON, progress: progress, quiet: quiet, likeQemu: likeQemu)
  }

  /// Runs the job of `command` on `images`, which close when it ends, and returns what it has
  /// found. What it failed with is thrown with the exit status `status`.
  @discardableResult
  func run<Command: JobStartingCommand>(
    _ command: inout Command, on images: [ImageFile], queries: [QMPRequest] = [],
    in session: Session, status: Int32 = 1, answered: ([JSONValue]) throws -> Void = { _ in }
  ) throws -> JSONValue? {
    let kind = Command.name.split(separator: "-").last.map(String.init) ?? Command.name
    command.jobID = uniqueName(kind)
    command.speed = rate.bytes
    command.ownNodes = images.map(\.nodeName)
    var run = JobRun(session: session, id: command.jobID, display: display(in: session))
    let outcome = try run.run(
      images, queries: queries, QMPRequest(command), answered: answered)
    if let error = outcome.error { throw Failure(error, status: status) }
    return outcome.result
  }
}
