import Foundation
import QMP
import QMPClient
import Synchronization
import TestSupport

/// Jobs of all kinds, one after the other from several clients at once, for a while.
///
/// Isolation: one thread; its workers have threads of their own.
package struct MixedLoad: Sendable {
  package var seconds = 600.0
  package var workers = 4
  package var leastJobs = 5000
  /// How much the resident set may grow in ten minutes, in MiB, by the line through all samples but
  /// those of the first minute.
  package var limit = 1.0

  package init() {}

  /// What the workers have done.
  private final class Tally: Sendable {
    let jobs = Atomic<Int>(0)
    let failures = Mutex<[String]>([])
  }

  /// Runs it against a daemon of its own.
  package func run() throws -> LoadFigures {
    var figures = LoadFigures()
    // A worker that is late still hears how its job ended.
    let daemon = try DaemonProcess.start(arguments: ["--job-history", "2048"])
    let (pid, socket) = (daemon.pid, daemon.socket)
    let tally = Tally()
    let end = Date(timeIntervalSinceNow: seconds)
    let done = DispatchGroup()
    for number in 0..<workers {
      done.enter()
      Thread.detachNewThread {
        do {
          let worker = try MixedWorker(socket, number) { tally.jobs.add(1, ordering: .relaxed) }
          try worker.run(until: end)
        } catch {
          tally.failures.withLock { $0.append("worker \(number): \(error)") }
        }
        done.leave()
      }
    }
    var samples: [(seconds: Double, mebibytes: Double)] = []
    let begun = Date()
    while done.wait(timeout: .now() + 1) == .timedOut {
      let mebibytes = Double(try DaemonUsage(of: pid).residentKibibytes) / 1024
      samples.append((Date().timeIntervalSince(begun), mebibytes))
    }
    let jobs = tally.jobs.load(ordering: .relaxed)
    figures.lines.append("\(jobs) jobs in \(seconds) s; \(try DaemonUsage(of: pid))")
    figures.complaints += tally.failures.withLock { $0 }
    figures.expect(jobs >= leastJobs, "only \(jobs) jobs")
    let settled = samples.filter { $0.seconds > min(60, seconds / 2) }
    figures.note("RSS slope", slope(of: settled) * 600, "MiB in 10 min", atMost: limit)
    if let first = settled.first, let last = settled.last {
      figures.lines.append("RSS from \(first.mebibytes) to \(last.mebibytes) MiB")
    }
    figures.expect(daemon.stop() == 0, "the daemon did not end well: \(daemon.output)")
    return figures
  }

  /// The slope of the line that fits best; 0 where there are too few points for one.
  private func slope(of points: [(seconds: Double, mebibytes: Double)]) -> Double {
    guard points.count > 2 else { return 0 }
    let count = Double(points.count)
    let middle = points.reduce(0) { $0 + $1.seconds } / count
    let level = points.reduce(0) { $0 + $1.mebibytes } / count
    let rise = points.reduce(0) { $0 + ($1.seconds - middle) * ($1.mebibytes - level) }
    return rise / points.reduce(0) { $0 + ($1.seconds - middle) * ($1.seconds - middle) }
  }
}
