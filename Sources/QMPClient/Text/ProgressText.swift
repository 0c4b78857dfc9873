package import QMP

/// How far a job is, in words for people.
///
/// Isolation: value.
package enum ProgressText {
  private static let barWidth = 20

  /// How much of a job is done, from 0 to 100. Before a job knows how much there is to do, 0.
  package static func percent(_ job: JobInfo) -> Double {
    guard job.totalProgress > 0 else { return 0 }
    return min(100, max(0, 100 * Double(job.currentProgress) / Double(job.totalProgress)))
  }

  /// The line that `qemu-img -p` draws, without what returns the cursor.
  package static func qemu(percent: Double) -> String {
    "    (\(ByteCount.fixed(percent, places: 2))/100%)"
  }

  /// One line for a terminal, of at most `width` characters: a bar and all numbers; where that is
  /// too long without the bar, and at last cut.
  package static func bar(_ job: JobInfo, width: Int = .max) -> String {
    let filled = Int(percent(job) / 100 * Double(barWidth))
    let bar = String(repeating: "#", count: filled)
    let rest = String(repeating: "-", count: barWidth - filled)
    let line = line(job)
    let whole = "[\(bar)\(rest)] \(line)"
    return whole.count <= width ? whole : String(line.prefix(max(0, width)))
  }

  /// One line for a log: percent, amount, and, while the job works, speed, time left and phase.
  package static func line(_ job: JobInfo) -> String {
    var parts = ["\(padded(ByteCount.fixed(percent(job), places: 1), to: 5)) %"]
    parts.append("\(mebibytes(job.currentProgress)) / \(mebibytes(job.totalProgress)) MiB")
    if let progress = job.progress {
      parts.append("\(mebibytes(progress.bytesPerSecond)) MiB/s")
      if let seconds = progress.etaSeconds { parts.append("ETA \(duration(seconds))") }
    }
    switch job.status {
    case .running, .ready: if let phase = job.progress?.phase { parts.append(phase) }
    default: parts.append(job.status.rawValue)
    }
    return parts.joined(separator: "  ")
  }

  /// `seconds` as `1:02:03`, or `2:03` below an hour.
  package static func duration(_ seconds: Int) -> String {
    let (minutes, second) = max(0, seconds).quotientAndRemainder(dividingBy: 60)
    let (hours, minute) = minutes.quotientAndRemainder(dividingBy: 60)
    return hours > 0 ? "\(hours):\(two(minute)):\(two(second))" : "\(minute):\(two(second))"
  }

  private static func mebibytes(_ bytes: Int) -> String {
    let value = Double(bytes) / Double(1 << 20)
    return ByteCount.fixed(value, places: value < 100 ? 1 : 0)
  }

  private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

  private static func padded(_ text: String, to width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}
