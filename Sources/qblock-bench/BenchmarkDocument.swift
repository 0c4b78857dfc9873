import Glibc
import QMPClient

/// `BENCHMARKS.md` and its chart: what one run of this program has seen.
///
/// Isolation: value.
struct BenchmarkDocument {
  private let results: [WorkloadResult]
  private let scale: Int

  /// Of these results; of a quick look at a part of the data, if `scale` is more than 1.
  init(_ results: [WorkloadResult], scale: Int) {
    self.results = results
    self.scale = scale
  }

  /// Writes both files into the directory `path`.
  func write(to path: String) throws(Failure) {
    try Self.save(text, as: "\(path)/BENCHMARKS.md")
    try Self.save(BarChart(bars).svg, as: "\(path)/BENCHMARKS.svg")
  }

  private static func save(_ text: String, as path: String) throws(Failure) {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    defer { close(descriptor) }
    guard descriptor >= 0, StandardStream.write(text, to: descriptor) else {
      throw .sentence("Could not write \(path): \(unsafe String(cString: strerror(errno)))")
    }
  }

  private var bars: [BarChart.Bar] {
    results.map { result in
      BarChart.Bar(
        label: "\(result.plan.workload.rawValue), \(result.fileSystem)", value: result.ratio)
    }
  }

  private var text: String {
    var text = """
      # Benchmarks

      By `scripts/bench`: QEMU's program and ours in turn, whole commands from the start of \
      the first process to the end of the last, a private daemon of ours included. The ratio is \
      QEMU's time by ours, pair by pair: above 1 ours is faster. Times of one machine mean nothing \
      on another.

      ![Ratios](BENCHMARKS.svg)

      | workload | file system | pairs | QEMU s | ours s | ratio (min, median, max) | ours ÷ cp, \
      truncate \
      | CPU s | peak RSS | base takes | read | written | calls/MiB |
      |---|---|---|---|---|---|---|---|---|---|---|---|---|

      """
    for result in results { text += row(result) }
    for (result, answers) in results.flatMap({ result in result.answers.map { (result, $0) } }) {
      text += """

        - \(answers.name), \(result.fileSystem): \(microseconds(answers.qemu)) : \
        \(microseconds(answers.ours)) µs, ratio \(number(answers.ratio.minimum)), \
        **\(number(answers.ratio.median))**, \(number(answers.ratio.maximum))

        """
    }
    for result in results {
      guard let trace = result.switching else { continue }
      text += "\n- \(result.plan.workload.rawValue), \(result.fileSystem): \(trace)\n"
    }
    text += """

      Read and written are what the kernel counts for a process; what goes through io_uring \
      (direct I/O, and bytes that are not in the page cache) it does not count. Calls are all \
      system calls, those of starting and ending included; root alone may count them. A peak below \
      what `qblock-bench` holds itself (some 15 MiB) is not seen. On XFS files share their bytes: \
      what the base takes is not written.

      """
    if scale > 1 { text += "\nA quick look: the data were divided by \(scale).\n" }
    return text
  }

  private func row(_ result: WorkloadResult) -> String {
    func both(_ figure: (Contender) -> String?) -> String {
      [Contender.qemu, .ours].compactMap(figure).joined(separator: " : ")
    }
    let ratio = result.ratio
    let cells = [
      result.plan.workload.rawValue, result.fileSystem, "\(result.pairCount)",
      number(result.seconds(.qemu).median), number(result.seconds(.ours).median),
      "\(number(ratio.minimum)), **\(number(ratio.median))**, \(number(ratio.maximum))",
      result.besideCopy.map { number($0.median) } ?? "",
      both { number(result.cpuSeconds($0).median) },
      both { ByteCount.text(result.peakBytes($0)) },
      both { ByteCount.text(result.baseBytes($0)) },
      both { ByteCount.text(result.bytes($0).read) },
      both { ByteCount.text(result.bytes($0).written) },
      both { result.callsPerMebibyte($0).map(number) },
    ]
    return "| " + cells.joined(separator: " | ") + " |\n"
  }

  private func microseconds(_ seconds: Spread) -> String {
    ByteCount.fixed(seconds.median * 1e6, places: 1)
  }

  private func number(_ value: Double) -> String { ByteCount.fixed(value, places: 2) }
}
