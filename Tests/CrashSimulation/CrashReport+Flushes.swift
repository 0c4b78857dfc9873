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
    func isCaught(_ witnesses: [FlushWitness]) -> Bool {
      !witnesses.isEmpty && witnesses.allSatisfy { found["\($0)"] != nil }
    }
    let points = FlushPoint.allCases
    let caught = points.count { point in
      isCaught(FlushWitness.all.filter { $0.place.point == point })
    }
    let places = FlushWitness.places
    let caughtPlaces = places.count { place in
      isCaught(FlushWitness.all.filter { $0.place == place })
    }
    return [
      Figure(
        measure: "named flushes elided", qemu: "–",
        here: "\(caught) of \(points.count) caught, at \(caughtPlaces) of \(places.count) places "
          + "that ask for one, by \(FlushWitness.all.count) trials",
        isGood: caught == points.count && caughtPlaces == places.count)
    ]
  }
}
