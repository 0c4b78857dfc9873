/// One run.
///
/// Isolation: value.
struct Sample {
  let usage: ChildProcess.Usage
  /// The bytes that the base takes on its file system afterwards.
  let baseBytes: Int
}
