import BlockCore
import CLinux
import Glibc

/// Standard output or standard error, without a buffer: every line is there as soon as it is known.
///
/// Isolation: any thread.
package enum StandardStream: Int32 {
  case output = 1
  case errors = 2

  /// Makes sure that the three standard streams are open, for a program that was started without
  /// some of them: what it opens itself must not take their numbers. Its first act. False where the
  /// system cannot.
  package static func openAll() -> Bool { cl_open_standard_streams() == 0 }

  /// Whether a person sees it at once.
  package var isTerminal: Bool { isatty(rawValue) == 1 }

  /// How many characters a line of the terminal has; nil where it is none, or does not say.
  package var columns: Int? {
    let columns = cl_terminal_columns(rawValue)
    return columns > 0 ? Int(columns) : nil
  }

  /// Writes all of `text`. Where nobody reads it any more there is nobody to tell, either.
  package func write(_ text: String) { _ = StandardStream.write(text, to: rawValue) }

  /// Writes `text`, which may have several lines, and ends the last one. Nothing in it moves a
  /// terminal's cursor: names come from anywhere.
  package func line(_ text: String) { lines(text + "\n") }

  /// Writes whole lines, under the same condition.
  package func lines(_ text: String) { write(text.printable(keeping: ["\n", "\t"])) }

  /// Writes all of `text` to any open file. Returns whether that was possible.
  package static func write(_ text: String, to descriptor: Int32) -> Bool {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes {
        unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
      }
      guard count > 0 || errno == EINTR else { return false }
      rest = rest.dropFirst(max(0, count))
    }
    return true
  }
}
