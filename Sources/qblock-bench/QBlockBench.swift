import ArgumentParser

/// Measures `qblockctl commit --private` beside `qemu-img commit`.
@main
struct QBlockBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "qblock-bench",
    abstract: "Commits the same overlays with qemu-img and with qblockctl, in turn.",
    discussion: """
      Both programs run as a user runs them, from the start of the process to its end; qblockctl \
      starts a qblockd of its own each time. Programs are looked for beside this one, then in PATH.
      """)

  @Option(parsing: .upToNextOption, help: "Measure only these.")
  var workload = Workload.allCases
  @Option(help: "How often each program commits each overlay.")
  var pairs = 5
  @Option(help: "Divide the amount of data by this, for a quick look.")
  var scale = 1
  @Option(help: "Commit in a new directory below this one.")
  var directory = "/tmp"
  @Option(help: "Keep the images that are copied for each run below this one instead.")
  var images: String?
  @Flag(help: "Print JSON, one line a run and one a workload, instead of tables.")
  var json = false

  func validate() throws {
    guard pairs > 0 else { throw ValidationError("--pairs must be at least 1") }
    guard (1...Workload.largestScale).contains(scale) else {
      throw ValidationError("--scale must be from 1 to \(Workload.largestScale)")
    }
  }

  func run() throws {
    StopSignals.hold()
    let report: any Report = json ? JSONReport() : TextReport()
    do {
      for workload in workload { try measure(workload, for: report) }
    } catch Failure.stopped(let signal) {
      // What a shell says of a program that a signal has ended.
      throw ExitCode(128 + signal)
    }
  }

  private func measure(_ workload: Workload, for report: any Report) throws(Failure) {
    let plan = WorkloadPlan(workload, scale: scale)
    let place = try WorkDirectory(below: directory)
    defer { place.remove() }
    let store = try WorkDirectory(below: images ?? directory)
    defer { store.remove() }
    try PairedRuns.checkSpace(for: plan, runningIn: place, imagesIn: store)
    report.progress("\(workload.rawValue): making the images")
    let source = try SourceImages(of: plan, in: store)
    report.result(try PairedRuns(plan, source, in: place).measure(pairs: pairs, report))
  }
}
