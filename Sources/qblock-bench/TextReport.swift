import Glibc
import QMPClient

/// A table for each workload.
///
/// Isolation: value.
struct TextReport: Report {
  private static let widths = [10, 26, 7, 9, 10]

  func run(_ workload: Workload, pair: Int, _ contender: Contender, _ sample: Sample) {
    let seconds = ByteCount.fixed(sample.usage.seconds, places: 2)
    progress("\(workload.rawValue): pair \(pair), \(contender.rawValue): \(seconds) s")
  }

  func result(_ result: WorkloadResult) {
    let plan = result.plan
    var text = "\(plan.workload.rawValue): \(plan.offsets.count) writes of "
    text += "\(ByteCount.text(plan.writeLength)) in \(ByteCount.text(plan.virtualSize)), "
    text += "\(result.pairCount) pairs\n"
    text += Self.row("", "seconds min/median/max", "CPU s", "peak RSS", "base takes")
    for contender in Contender.allCases {
      text += Self.row(
        contender.rawValue, Self.text(result.seconds(contender)),
        ByteCount.fixed(result.cpuSeconds(contender).median, places: 2),
        ByteCount.text(result.peakBytes(contender)), ByteCount.text(result.baseBytes(contender)))
    }
    text += Self.row("ratio", Self.text(result.ratio), "", "", "")
    StandardStream.output.line(text)
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
