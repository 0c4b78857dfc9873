import ImageFormats

extension CrashReport {
  /// Leaves out each flush in turn, wherever it is made.
  func runFlushes() async throws -> [Figure] {
    var found: [String: String] = [:]
    try await sideBySide(FlushWitness.all, width: width) {
      try await ($0, $0.trial.run())
    } then: { witness, outcome in
      found["\(witness)"] = outcome.failure == nil ? outcome.faults.first : nil
    }
    tell("")
    tell("| flush left out | operation, layout | first found |")
    tell("|---|---|---|")
    for witness in FlushWitness.all {
      tell("| \(witness) | \(found["\(witness)"] ?? "NOTHING") |")
    }
    let points = FlushPoint.allCases
    let caught = points.filter { point in
      let witnesses = FlushWitness.all.filter { $0.flush == point }
      return !witnesses.isEmpty && witnesses.allSatisfy { found["\($0)"] != nil }
    }
    return [
      Figure(
        measure: "named flushes elided", qemu: "–",
        here: "\(caught.count) of \(points.count) caught",
        isGood: caught.count == points.count)
    ]
  }
}
