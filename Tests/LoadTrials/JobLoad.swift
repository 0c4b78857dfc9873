import QMP
import QMPClient
import TestSupport

/// Many jobs at once, all cancelled at once; again and again, so that what they leave behind shows.
///
/// Isolation: one thread.
package struct JobLoad {
  package var jobs = 1000
  package var rounds = 24
  /// The longest that it may take until the last job is gone, in seconds.
  package var limit = 1.0
  /// How much `growth` may be, in KiB. 1000 jobs that leave 66 bytes behind each add as much in 8
  /// rounds; where the resident set also wanders, it takes some hundred bytes to be seen for sure.
  package var mostGrowth = 512.0

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
    let growth = JobLoad.growth(of: usage.dropFirst().map(\.residentKibibytes))
    figures.note(
      "grown in the stillest third of the rounds by", Double(growth), "KiB", atMost: mostGrowth)
    let threads = usage[rounds].threads - usage[rounds - 1].threads
    figures.note("and by", Double(threads), "threads", atMost: 16)
    figures.expect(daemon.stop() == 0, "the daemon did not end well: \(daemon.output)")
    return figures
  }

  /// How much the floor of the resident sets rises over a third of the rounds, where it rises
  /// least, after the first third. The floor at a round is the smallest of what follows.
  ///
  /// From round to round the resident set wanders by some MiB, and now and then it goes up by as
  /// much and stays there, because memory is in use here and there where the allocator would need
  /// it in one piece. Neither goes on for ever; what jobs leave behind is added in every round, so
  /// there is no third in which the floor stands still.
  package static func growth(of residentKibibytes: [Int]) -> Int {
    let floors = residentKibibytes.indices.map { residentKibibytes[$0...].min() ?? 0 }
    let third = floors.count / 3
    let rises = (third..<floors.count - third).map { floors[$0 + third] - floors[$0] }
    return rises.min() ?? 0
  }
}
