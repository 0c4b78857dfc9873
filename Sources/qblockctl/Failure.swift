/// Why a command ends without success.
///
/// Isolation: value.
struct Failure: Error {
  /// One sentence or two for people, without the program's name.
  let message: String
  /// The program's exit status.
  var status: Int32 = 1
  /// Whether it is only that nobody said which format an image has.
  var isFormatMissing = false

  init(_ message: String, status: Int32 = 1) {
    self.message = message
    self.status = status
  }
}
