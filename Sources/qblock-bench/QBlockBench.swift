import ArgumentParser

/// Measures qblockctl and qblockd beside QEMU's programs.
@main
struct QBlockBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "qblock-bench",
    abstract: "Does the same with QEMU's programs and with ours, in turn.",
    discussion: """
      Both programs run as a user runs them, from the start of the process to its end; qblockctl \
      starts a qblockd of its own each time. Programs are looked for beside this one, then in PATH.
      """)

  @Option(parsing: .upToNextOption, help: "Measure only these.")
  var workload = Workload.allCases
  @Option(help: "How often each program does it.")
  var pairs = 5
  @Option(help: "Divide the amount of data by this, for a quick look.")
  var scale = 1
  @Option(parsing: .upToNextOption, help: "Work in new directories below these, one by one.")
  var directory = ["/tmp"]
  @Option(help: "Also measure contiguous below this directory, where files can share their bytes.")
  var cloning: String?
  @Option(help: "Keep the images that are copied for each run below this one instead.")
  var images: String?
  @Flag(help: "Print JSON, one line a run and one a workload, instead of tables.")
  var json = false
  @Option(help: "Also write BENCHMARKS.md, with its chart, into this directory.")
  var write: String?

  func validate() throws {
    guard pairs > 0 else { throw ValidationError("--pairs must be at least 1") }
    guard (1...Workload.largestScale).contains(scale) else {
      throw ValidationError("--scale must be from 1 to \(Workload.largestScale)")
    }
  }

  func run() throws {
    StopSignals.hold()
    let report: any Report = json ? JSONReport() : TextReport()
    var results: [WorkloadResult] = []
    do {
      for directory in directory {
        for workload in workload { results.append(try measure(workload, in: directory, report)) }
      }
      if let cloning { results.append(try measure(.contiguous, in: cloning, report)) }
      if let write { try BenchmarkDocument(results, scale: scale).write(to: write) }
    } catch Failure.stopped(let signal) {
      // What a shell says of a program that a signal has ended.
      throw ExitCode(128 + signal)
    }
  }

  private func measure(
    _ workload: Workload, in directory: String, _ report: any Report
  ) throws(Failure) -> WorkloadResult {
    var plan = WorkloadPlan(workload, scale: scale)
    let place = try WorkDirectory(below: directory)
    defer { place.remove() }
    let store = try WorkDirectory(below: images ?? directory)
    defer { store.remove() }
    try PairedRuns.checkSpace(for: plan, runningIn: place, imagesIn: store)
    if plan.fillBytes > 0 {
      plan.isFilled = try place.freeBytes() >= plan.fillBytes + 2 * plan.footprint
      if !plan.isFilled {
        report.progress("\(workload.rawValue): no room for the overlay's bytes; it has none")
      }
    }
    report.progress("\(workload.rawValue): making the images")
    let source = try SourceImages(of: plan, in: store)
    let result = try PairedRuns(plan, source, in: place).measure(pairs: pairs, report)
    report.result(result)
    return result
  }
}
