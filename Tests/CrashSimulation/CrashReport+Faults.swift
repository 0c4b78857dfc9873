import BlockCore
import TestSupport

extension CrashReport {
  /// An operation on a layout, one kind of fault, once or from then on.
  private struct Series: Sendable {
    var layout: CrashLayout
    var operation: CrashOperation
    var kind: FaultTrial.Kind
    var lasts: Bool
  }
  /// What came of a series.
  private struct Result: Sendable {
    var series: Series
    /// Calls that failed, or did a part; each trial's first.
    var injected = 0
    var faults: [String] = []
  }

  /// So many places of a longer series are tried.
  private static let mostPlaces = 40

  /// Layouts of all kinds, small enough that thousands of runs take little time.
  private static let faultyLayouts = [
    CrashLayout(512, depth: 3, .movedL1), CrashLayout(512, refcountBits: 64, .fullRefcountTable),
    CrashLayout(1024, version: 2, .oddSize), CrashLayout(4096, depth: 3, .longBase),
    CrashLayout(4096, refcountBits: 2, .snapshot), CrashLayout(4096, .compressed),
    CrashLayout(4096, .shortBase), CrashLayout(16_384, .oddSize), CrashLayout(65_536),
    CrashLayout(512, refcountBits: 64, .noCache),
    CrashLayout(4096, depth: 3, .rawBase, .shortBase),
    CrashLayout(4096, .fileCopy), CrashLayout(512, depth: 3, .fileCopy, .rawBase),
    CrashLayout(512, refcountBits: 64, .crowded),
  ]

  /// Runs operations on real files with every kind of fault at every place.
  func runFaults() async throws -> [Figure] {
    var all: [Series] = []
    for layout in CrashReport.faultyLayouts {
      for operation in CrashOperation.allCases where operation.fits(layout) {
        for kind in FaultTrial.Kind.allCases {
          all.append(Series(layout: layout, operation: operation, kind: kind, lasts: false))
          all.append(Series(layout: layout, operation: operation, kind: kind, lasts: true))
        }
      }
    }
    var rows: [String: (injected: Int, bad: Int)] = [:]
    try await sideBySide(all, width: width) {
      try await run($0)
    } then: { result in
      let name = "\(result.series.kind.rawValue), \(result.series.lasts ? "lasting" : "once")"
      rows[name, default: (0, 0)].injected += result.injected
      rows[name, default: (0, 0)].bad += result.faults.count
      for fault in result.faults.prefix(3) {
        tell("\(result.series.layout), \(result.series.operation.rawValue), \(name): \(fault)")
      }
    }
    tell("| error at up to 40 places of each series of calls | injected | bad |")
    tell("|---|---|---|")
    for (name, row) in rows.sorted(by: { $0.key < $1.key }) {
      tell("| \(name) | \(row.injected) | \(row.bad) |")
    }
    let injected = rows.values.reduce(0) { $0 + $1.injected }
    let bad = rows.values.reduce(0) { $0 + $1.bad }
    return [
      Figure(
        measure: "injected errors", qemu: "104",
        here: "\(injected): 0 crashes, \(bad) with lost data or a wrong error",
        isGood: bad == 0 && injected >= 10_000)
    ]
  }

  private func run(_ series: Series) async throws -> Result {
    var result = Result(series: series)
    let chain = try series.operation.prepare(series.layout.build())
    let directory = try TemporaryDirectory.inMemory()
    var trial = FaultTrial(
      series.layout, series.operation, series.kind, after: .max, lasts: series.lasts)
    trial.seed = seed
    // Without any fault, to see how many places there are.
    let calls = try await trial.run(on: chain, in: directory).calls
    let step = max(1, calls.dividedRoundingUp(by: CrashReport.mostPlaces))
    for place in stride(from: 0, to: calls, by: step) {
      trial.after = place
      let outcome = try await trial.run(on: chain, in: directory)
      if outcome.failures > 0 { result.injected += 1 }
      if let fault = outcome.fault { result.faults.append("call \(place): \(fault)") }
    }
    return result
  }
}
