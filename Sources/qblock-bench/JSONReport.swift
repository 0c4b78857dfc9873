import JSONValue
import QMPClient

/// A line of JSON for each run and for each workload.
///
/// Isolation: value.
struct JSONReport: Report {
  func run(_ workload: Workload, pair: Int, _ contender: Contender, _ sample: Sample) {
    var figures: JSONObject = [
      "event": "run", "workload": .string(workload.rawValue), "pair": .integer(pair),
      "program": .string(contender.name(in: workload)), "seconds": .double(sample.usage.seconds),
      "cpu-seconds": .double(sample.usage.cpuSeconds),
      "peak-rss-bytes": .integer(sample.usage.peakBytes),
      "base-bytes": .integer(sample.baseBytes),
      "read-bytes": .integer(sample.usage.io.bytesRead),
      "written-bytes": .integer(sample.usage.io.bytesWritten),
    ]
    if let calls = sample.usage.io.calls { figures.append("calls", .integer(calls)) }
    line(.object(figures))
  }

  func result(_ result: WorkloadResult) {
    var programs = JSONObject()
    for contender in result.plan.contenders {
      let (read, written) = result.bytes(contender)
      var figures: JSONObject = [
        "seconds": object(result.seconds(contender)),
        "cpu-seconds": object(result.cpuSeconds(contender)),
        "peak-rss-bytes": .integer(result.peakBytes(contender)),
        "base-bytes": .integer(result.baseBytes(contender)),
        "read-bytes": .integer(read), "written-bytes": .integer(written),
      ]
      if let calls = result.callsPerMebibyte(contender) {
        figures.append("calls-per-mebibyte", .double(calls))
      }
      programs.append(contender.name(in: result.plan.workload), .object(figures))
    }
    var figures: JSONObject = ["ratio": object(result.ratio)]
    if let besideCopy = result.besideCopy { figures.append("beside-cp", object(besideCopy)) }
    var answers = JSONObject()
    for times in result.answers {
      answers.append(
        times.name,
        ["qemu": object(times.qemu), "ours": object(times.ours), "ratio": object(times.ratio)])
    }
    var switching = JSONValue.null
    if let trace = result.switching {
      switching = [
        "flushes": .integer(trace.flushes.switched), "all-flushes": .integer(trace.flushes.all),
        "metadata-bytes": .integer(trace.metadataBytes), "cuts": .integer(trace.cuts),
        "seconds": .double(trace.seconds.all),
        "seconds-of-change": .double(trace.seconds.changing),
      ]
    }
    line([
      "event": "workload", "workload": .string(result.plan.workload.rawValue),
      "file-system": .string(result.fileSystem), "data-bytes": .integer(result.plan.dataBytes),
      "virtual-bytes": .integer(result.plan.virtualSize), "pairs": .integer(result.pairCount),
      "programs": .object(programs), "ratios": .object(figures),
      "answers": .object(answers), "second-switch": switching,
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
