import ArgumentParser
import QMP
import QMPClient

/// `jobs`: what the daemon is doing.
struct Jobs: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Lists the jobs.")

  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    try connection.withSession { session in
      let jobs = try session.client.execute(QueryJobs())
      if session.isJSON { return session.say(jobs.wire) }
      var table = Table("JOB", "TYPE", "STATUS", "PROGRESS", "ERROR")
      for job in jobs {
        table.add(
          job.id, job.type.rawValue, job.status.rawValue, ProgressText.line(job),
          job.error ?? "")
      }
      StandardStream.output.lines(table.text)
    }
  }
}
