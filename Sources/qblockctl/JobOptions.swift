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
    name: [.customShort("r", allowingJoined: true), .customLong("rate-limit")],
    parsing: .unconditional,
    help: ArgumentHelp(
      "At most this many bytes a second, such as 100M; 0 for no limit.", valueName: "rate"))
  private var rate: Size?

  /// The limit in bytes a second; 0 for none.
  func speed() throws -> Int { try rate?.bytes("rate limit") ?? 0 }

  /// How far the job is, for whoever watches `session`.
  func display(in session: Session, likeQemu: Bool = false) -> ProgressDisplay {
    ProgressDisplay(
      isJSON: session.isJSON, progress: progress, quiet: quiet, likeQemu: likeQemu)
  }

  /// Runs the job of the command that `make` makes for `images`, which close when it ends, and
  /// returns what it has found. What it failed with is thrown with the exit status `status`.
  @discardableResult
  func run<Command: JobStartingCommand>(
    on images: [ImageFile], queries: @escaping ([ImageFile]) -> [QMPRequest] = { _ in [] },
    in session: Session, status: Int32 = 1, answered: ([JSONValue]) throws -> Void = { _ in },
    _ make: ([ImageFile]) -> Command
  ) throws -> JSONValue? {
    let speed = try speed()
    let kind = Command.name.split(separator: "-").last.map(String.init) ?? Command.name
    let id = uniqueName(kind)
    var run = JobRun(session: session, id: id, display: display(in: session))
    let outcome = try run.run(images, answered: answered) { images in
      var command = make(images)
      command.job.id = id
      command.job.speed = speed
      command.job.ownNodes = images.ownNodes
      return queries(images) + [QMPRequest(command)]
    }
    if let error = outcome.error { throw Failure(error, status: status) }
    return outcome.result
  }
}
