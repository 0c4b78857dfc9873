import JSONValue
import QMPClient

/// A line of JSON for each run and for each workload.
///
/// Isolation: value.
struct JSONReport: Report {
  func run(_ workload: Workload, pair: Int, _ contender: Contender, _ sample: Sample) {
    line([
      "event": "run", "workload": .string(workload.rawValue), "pair": .integer(pair),
      "program": .string(contender.rawValue), "seconds": .double(sample.usage.seconds),
      "cpu-seconds": .double(sample.usage.cpuSeconds),
      "peak-rss-bytes": .integer(sample.usage.peakBytes),
      "base-bytes": .integer(sample.baseBytes),
    ])
  }

  func result(_ result: WorkloadResult) {
    var programs = JSONObject()
    for contender in Contender.allCases {
      programs.append(
        contender.rawValue,
        [
          "seconds": object(result.seconds(contender)),
          "cpu-seconds": object(result.cpuSeconds(contender)),
          "peak-rss-bytes": .integer(result.peakBytes(contender)),
          "base-bytes": .integer(result.baseBytes(contender)),
        ])
    }
    line([
      "event": "workload", "workload": .string(result.plan.workload.rawValue),
      "data-bytes": .integer(result.plan.dataBytes),
      "virtual-bytes": .integer(result.plan.virtualSize), "pairs": .integer(result.pairCount),
      "programs": .object(programs), "ratio": object(result.ratio),
    ])
  }

  private func object(_ spread: Spread) -> JSONValue {
    [
      "min": .double(spread.minimum), "median": .double(spread.median),
      "max": .double(spread.maximum),
    ]
  }

  private func line(_ value: JSONValue) {
    StandardStream.output.line("\(value)")
  }
}
