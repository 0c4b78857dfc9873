import JSONValue
import QMP
import QMPClient

/// Shows how far a job is, in the form that suits who is watching.
///
/// Isolation: value.
struct ProgressDisplay {
  /// The forms.
  enum Style {
    /// Nothing.
    case none
    /// A line on the terminal that is drawn again and again.
    case bar
    /// What `qemu-img -p` writes.
    case qemu
    /// A line now and then, for a log.
    case lines
    /// Every answer of the daemon.
    case json
  }

  private let style: Style
  /// The percentage that was shown last; -1 when none was.
  private var shown = -1.0

  /// A display for a command whose user asked for progress (`-p`), or for silence (`-q`).
  init(isJSON: Bool, progress: Bool, quiet: Bool, likeQemu: Bool = false) {
    if isJSON {
      style = .json
    } else if quiet {
      style = .none
    } else if StandardStream.errors.isTerminal && StandardStream.output.isTerminal {
      style = .bar
    } else if progress {
      style = likeQemu ? .qemu : .lines
    } else {
      style = .none
    }
  }

  /// Shows `job`, unless that would say next to nothing new.
  mutating func update(_ job: JobInfo) {
    let percent = ProgressText.percent(job)
    switch style {
    case .none: return
    case .json: StandardStream.output.line(job.wire.description)
    case .bar:
      // The last column stays free: a line that fills it may go on in the next one.
      let width = (StandardStream.errors.columns ?? 80) - 1
      StandardStream.errors.write("\r\u{1b}[K\(ProgressText.bar(job, width: width))")
    case .qemu:
      guard shown < 0 || abs(percent - shown) >= 1 else { return }
      StandardStream.output.write(ProgressText.qemu(percent: percent) + "\r")
    case .lines:
      guard shown < 0 || abs(percent - shown) >= 1 else { return }
      StandardStream.output.line(ProgressText.line(job))
    }
    shown = percent
  }

  /// Shows that the job is over. What is done is done only when it has succeeded.
  mutating func end(hasSucceeded: Bool) {
    switch style {
    case .none, .json, .lines: return
    case .bar: if shown >= 0 { StandardStream.errors.write("\r\u{1b}[K") }
    case .qemu:
      let end = hasSucceeded ? ProgressText.qemu(percent: 100) + "\r" : ""
      StandardStream.output.write(end + "\n")
    }
  }
}
