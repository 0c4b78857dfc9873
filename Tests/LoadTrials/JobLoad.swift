import QMP
import QMPClient
import TestSupport

/// Many jobs at once, all cancelled at once; again and again, so that what they leave behind shows.
///
/// Isolation: one thread.
package struct JobLoad {
  package var jobs = 1000
  package var rounds = 12
  /// The longest that it may take until the last job is gone, in seconds.
  package var limit = 1.0
  /// How much the resident set may grow in the last round, in KiB.
  package var mostGrowth = 256.0

  package init() {}

  /// Runs it against a daemon of its own.
  package func run() throws -> LoadFigures {
    var figures = LoadFigures()
    let daemon = try DaemonProcess.start(launcher: ["prlimit", "--nofile=16384"])
    let pile = try JobPile(daemon, count: jobs)
    var usage: [DaemonUsage] = [try DaemonUsage(of: daemon.pid)]
    for round in 1...rounds {
      try pile.start()
      let during = try DaemonUsage(of: daemon.pid)
      figures.lines.append("round \(round), with \(jobs) jobs: \(during)")
      figures.note("all cancelled within", try pile.cancel(), "s", atMost: limit)
      try pile.close()
      usage.append(try DaemonUsage(of: daemon.pid))
      figures.lines.append("after it: \(usage[round])")
    }
    // What the first rounds have taken from the system serves the later ones.
    figures.expect(
      usage[rounds].descriptors <= usage[1].descriptors, "descriptors are left over")
    let growth = usage[rounds].residentKibibytes - usage[rounds - 1].residentKibibytes
    figures.note("grown in the last round by", Double(growth), "KiB", atMost: mostGrowth)
    let threads = usage[rounds].threads - usage[rounds - 1].threads
    figures.note("and by", Double(threads), "threads", atMost: 16)
    figures.expect(daemon.stop() == 0, "the daemon did not end well: \(daemon.output)")
    return figures
  }
}
