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
  /// How many more bytes the daemon may hold in the last third of the rounds than in the third
  /// before. 1000 jobs that leave 8 bytes behind each add as much.
  package var mostGrowth = 64.0

  package init() {}

  /// Runs it against a daemon of its own.
  package func run() throws -> LoadFigures {
    var figures = LoadFigures()
    let directory = try TemporaryDirectory()
    let heap = HeapCounter(in: directory)
    let daemon = try DaemonProcess.start(
      launcher: ["prlimit", "--nofile=16384"] + heap.launcher)
    let pile = try JobPile(daemon, count: jobs)
    var usage: [DaemonUsage] = [try DaemonUsage(of: daemon.pid)]
    var held: [Int] = []
    for round in 1...rounds {
      try pile.start()
      let during = try DaemonUsage(of: daemon.pid)
      figures.lines.append("round \(round), with \(jobs) jobs: \(during)")
      figures.note("all cancelled within", try pile.cancel(), "s", atMost: limit)
      try pile.close()
      usage.append(try DaemonUsage(of: daemon.pid))
      held.append(try heap.count().liveBytes >> 10)
      figures.lines.append("after it: \(usage[round]), \(held[round - 1]) KiB asked for")
    }
    // What the first rounds have taken from the system serves the later ones.
    figures.expect(
      usage[rounds].descriptors <= usage[1].descriptors, "descriptors are left over")
    figures.note("grown by", Double(JobLoad.growth(of: held)), "KiB", atMost: mostGrowth)
    let threads = usage[rounds].threads - usage[rounds - 1].threads
    figures.note("and by", Double(threads), "threads", atMost: 16)
    figures.expect(daemon.stop() == 0, "the daemon did not end well: \(daemon.output)")
    return figures
  }

  /// How much more the least of the last third is than the least of the third before it: what is
  /// held for a moment only, or was for the first time, does not count.
  ///
  /// The resident set says less: it wanders by some MiB, and now and then it goes up by as much and
  /// stays there, because memory is in use here and there where the allocator would need it in one
  /// piece.
  package static func growth(of held: [Int]) -> Int {
    let third = held.count / 3
    let last = held.suffix(third).min() ?? 0
    let before = held.dropLast(third).suffix(third).min() ?? 0
    return last - before
  }
}
