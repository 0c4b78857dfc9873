import ArgumentParser
import QMP
import QMPClient

/// `job`: what can be asked of one job.
struct JobVerbs: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "job", abstract: "Tells one job what to do.",
    subcommands: [
      Pause.self, Resume.self, Cancel.self, Complete.self, Finalize.self, Dismiss.self,
      SetSpeed.self, Wait.self,
    ])

  /// A verb that is one command with the job's name.
  struct Target: ParsableArguments {
    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The job.")
    var id: String

    func ask(_ command: some QMPCommand) throws {
      try connection.withSession { session in
        _ = try session.client.execute(command)
      }
    }
  }

  struct Pause: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Halts it at its next step.")
    @OptionGroup var target: Target
    func run() throws { try target.ask(JobPause { $0.id = target.id }) }
  }

  struct Resume: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lets it go on.")
    @OptionGroup var target: Target
    func run() throws { try target.ask(JobResume { $0.id = target.id }) }
  }

  struct Cancel: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Ends it without its result.")
    @OptionGroup var target: Target
    func run() throws { try target.ask(JobCancel { $0.id = target.id }) }
  }

  struct Complete: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Completes it when it is ready; with --wait, ends when it has concluded.")
    @OptionGroup var target: Target
    @Flag(help: "Wait until it has concluded.")
    var wait = false

    func run() throws {
      if wait {
        try target.ask(JobCompleteSync { $0.id = target.id })
      } else {
        try target.ask(JobComplete { $0.id = target.id })
      }
    }
  }

  struct Finalize: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lets it do its last step.")
    @OptionGroup var target: Target
    func run() throws { try target.ask(JobFinalize { $0.id = target.id }) }
  }

  struct Dismiss: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Forgets it, once it is over.")
    @OptionGroup var target: Target
    func run() throws { try target.ask(JobDismiss { $0.id = target.id }) }
  }

  struct SetSpeed: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Limits its speed.")
    @OptionGroup var target: Target
    @Argument(help: "Bytes a second; 0 for no limit.")
    var rate: Size

    func run() throws {
      let speed = try rate.bytes("rate limit")
      try target.ask(BlockJobSetSpeed { ($0.device, $0.speed) = (target.id, speed) })
    }
  }

  struct Wait: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Waits for it, and fails if it has failed.")
    @OptionGroup var target: Target

    @Option(help: "How far: ready or concluded.")
    var until = JobWait.Goal.concluded

    @Flag(name: [.customShort("p"), .customLong("progress")], help: "Show how far it is.")
    var progress = false

    func run() throws {
      try target.connection.withSession { session in
        let display = ProgressDisplay(
          isJSON: session.isJSON, progress: progress, quiet: false)
        var run = JobRun(session: session, id: target.id, display: display, isOwn: false)
        let outcome = try run.follow(until: until)
        if let error = outcome.error { throw Failure(error) }
      }
    }
  }
}

extension JobWait.Goal: ExpressibleByArgument {}
