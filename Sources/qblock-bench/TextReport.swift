import Glibc
import QMPClient

/// A table for each workload.
///
/// Isolation: value.
struct TextReport: Report {
  private static let widths = [19, 26, 7, 9, 10, 10, 10, 9]

  func run(_ workload: Workload, pair: Int, _ contender: Contender, _ sample: Sample) {
    let seconds = ByteCount.fixed(sample.usage.seconds, places: 2)
    progress("\(workload.rawValue): pair \(pair), \(contender.name(in: workload)): \(seconds) s")
  }

  func result(_ result: WorkloadResult) {
    let plan = result.plan
    var text = "\(plan.workload.rawValue) on \(result.fileSystem): "
    if !plan.offsets.isEmpty {
      text += "\(plan.offsets.count) writes of \(ByteCount.text(plan.writeLength)) in "
    }
    if plan.virtualSize > 0 { text += "\(ByteCount.text(plan.virtualSize)), " }
    text += "\(result.pairCount) pairs\n"
    text += Self.row(
      "", "seconds min/median/max", "CPU s", "peak RSS", "base takes", "read", "written",
      "calls/MiB")
    for contender in plan.contenders {
      let (read, written) = result.bytes(contender)
      text += Self.row(
        contender.name(in: plan.workload), Self.text(result.seconds(contender)),
        ByteCount.fixed(result.cpuSeconds(contender).median, places: 2),
        ByteCount.text(result.peakBytes(contender)), ByteCount.text(result.baseBytes(contender)),
        ByteCount.text(read), ByteCount.text(written),
        result.callsPerMebibyte(contender).map { ByteCount.fixed($0, places: 2) } ?? "")
    }
    text += Self.row("ratio", Self.text(result.ratio))
    if let besideCopy = result.besideCopy {
      text += Self.row("ours / \(Contender.copy.name(in: plan.workload))", Self.text(besideCopy))
    }
    for answers in result.answers {
      text += "\(answers.name): \(Self.microseconds(answers.qemu)) : "
      text += "\(Self.microseconds(answers.ours)) µs, ratio \(Self.text(answers.ratio))\n"
    }
    if let switching = result.switching { text += "\(switching)\n" }
    StandardStream.output.line(text)
  }

  private static func microseconds(_ seconds: Spread) -> String {
    ByteCount.fixed(seconds.median * 1e6, places: 1)
  }

  private static func text(_ spread: Spread) -> String {
    [spread.minimum, spread.median, spread.maximum].map { value in
      let text = ByteCount.fixed(value, places: 2)
      return String(repeating: " ", count: max(0, 6 - text.count)) + text
    }.joined(separator: "  ")
  }

  private static func row(_ cells: String...) -> String {
    var line = ""
    for (cell, width) in zip(cells, Self.widths) {
      line += cell + String(repeating: " ", count: max(0, width - cell.count) + 2)
    }
    while line.last == " " { line.removeLast() }
    return line + "\n"
  }
}
