import Glibc

/// Standard output or standard error, without a buffer.
///
/// Isolation: any thread.
enum StandardStream: Int32 {
  case output = 1
  case errors = 2

  /// Whether a person sees it at once.
  var isTerminal: Bool { isatty(rawValue) == 1 }

  /// Writes all of `text`. Where nobody reads it any more there is nobody to tell, either.
  func write(_ text: String) {
    let bytes = Array(text.utf8)
    var written = 0
    while written < bytes.count {
      let count = unsafe bytes[written...].withUnsafeBytes {
        unsafe Glibc.write(rawValue, $0.baseAddress, $0.count)
      }
      if count < 0 && errno != EINTR { return }
      written += max(0, count)
    }
  }

  /// Writes `text` and ends the line.
  func line(_ text: String) { write(text + "\n") }
}
