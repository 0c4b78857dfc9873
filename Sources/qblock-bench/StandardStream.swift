import Glibc

/// Text to a descriptor, without a buffer: every line is there as soon as it is known.
///
/// Isolation: any thread.
enum StandardStream {
  /// Writes all of `text` to `descriptor`. Returns whether that was possible.
  @discardableResult
  static func write(_ text: String, to descriptor: Int32) -> Bool {
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
