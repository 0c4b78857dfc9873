/// Power lost at every point of all operations on all layouts, each flush left out, and errors at
/// every point, as tables.
///
/// Isolation: value; trials run side by side.
package struct CrashReport: Sendable {
  /// What can be asked for.
  package enum Part: String, CaseIterable, Sendable {
    case states, flushes, faults, traces, kills
  }
  /// A line of the table that stands at the end.
  struct Figure: Sendable {
    var measure: String
    /// The same of QEMU 7.2, where it is known.
    var qemu: String
    var here: String
    var isGood: Bool
  }

  /// Where all random choices begin.
  let seed: UInt64
  /// How many trials run side by side.
  let width: Int
  let tell: @Sendable (String) -> Void

  /// A report, told line by line.
  package init(seed: UInt64, width: Int, tell: @escaping @Sendable (String) -> Void) {
    self.seed = seed
    self.width = width
    self.tell = tell
  }

  /// Makes `parts` of the report; daemons are killed at `kills` points. Returns whether all is as
  /// it should be.
  package func run(_ parts: [Part], kills: Int = 500) async throws -> Bool {
    var figures: [Figure] = []
    if parts.contains(.states) { figures += try await runStates() }
    if parts.contains(.flushes) { figures += try await runFlushes() }
    if parts.contains(.faults) { figures += try await runFaults() }
    if parts.contains(.traces) { figures += try await runTraces() }
    if parts.contains(.kills) { figures += try await runKills(kills) }
    tell("")
    tell("| measure | QEMU 7.2 | here | |")
    tell("|---|---|---|---|")
    for figure in figures {
      tell(
        "| \(figure.measure) | \(figure.qemu) | \(figure.here) | \(figure.isGood ? "" : "BAD") |")
    }
    tell("")
    tell("seed \(seed)")
    return figures.allSatisfy(\.isGood)
  }

  private func runTraces() async throws -> [Figure] {
    let isAsKnown = try await RecordedReport(width: width, tell: tell).run()
    return [
      Figure(
        measure: "the same simulator on recorded QEMU traces", qemu: "–",
        here: isAsKnown
          ? "finds QEMU's bad states, resized and intermediate; none in ours" : "see its table",
        isGood: isAsKnown)
    ]
  }

  private func runKills(_ points: Int) async throws -> [Figure] {
    let isGood = try await KillReport(width: width, tell: tell).run(points: points, seed: seed)
    return [
      Figure(
        measure: "real kill -9, restart, do it again, compare", qemu: "–",
        here: isGood ? "\(points) points, 0 bad" : "see its table", isGood: isGood)
    ]
  }
}
