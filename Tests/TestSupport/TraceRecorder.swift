import Foundation

/// The library of `Tests/TraceRecorder`, to be loaded into a program that works on the files of one
/// directory.
///
/// Isolation: value.
package struct TraceRecorder: Sendable {
  /// Where a program is to end.
  package struct End: Sendable, CustomStringConvertible {
    /// Which change or flush is not done any more; the first is 1.
    package var operation: Int
    /// How many bytes of it are, if it is a write.
    package var cut: Int
    /// A write that is not done, though the program is told that it is: a fault to be found.
    package var lost: Int?

    /// At this operation, after so many bytes of it.
    package init(at operation: Int, cut: Int, losing lost: Int? = nil) {
      self.operation = operation
      self.cut = cut
      self.lost = lost
    }

    package var description: String { "operation \(operation), cut at \(cut) bytes" }
  }

  /// The directory whose files are recorded.
  package let directory: TemporaryDirectory
  /// The file that the trace goes to.
  package let output: String
  /// Where the program is killed, if anywhere.
  package var end: End?
  /// A FIFO that somebody has to have open for writing, or the disk does not answer.
  package var hold: String?

  /// A recorder of what happens in `directory`; without an `output` only the end is of interest.
  package init(_ directory: TemporaryDirectory, output: String = "/dev/null", end: End? = nil) {
    self.directory = directory
    self.output = output
    self.end = end
  }

  /// The words that make a command of any program one that is recorded.
  package var launcher: [String] {
    let place = URL(fileURLWithPath: directory.path).resolvingSymlinksInPath().path
    var words = [
      // It sees calls; what goes by a ring is none.
      "env", "QBLOCKD_IO=threads", "LD_PRELOAD=\(DaemonProcess.program("libTraceRecorder.so"))",
      "TRACE_RECORDER_DIRECTORY=\(place)", "TRACE_RECORDER_OUTPUT=\(output)",
    ]
    if let end {
      words.append("TRACE_RECORDER_KILL_AT=\(end.operation)")
      words.append("TRACE_RECORDER_KILL_CUT=\(end.cut)")
      if let lost = end.lost { words.append("TRACE_RECORDER_LOSE_AT=\(lost)") }
    }
    if let hold { words.append("TRACE_RECORDER_HOLD=\(hold)") }
    return words
  }
}
