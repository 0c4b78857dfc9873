/// One run.
///
/// Isolation: value.
struct Sample {
  let usage: ChildProcess.Usage
  /// Where a client has asked.
  let roundTrips: [RoundTrips]
  /// The bytes that the base takes on its file system afterwards.
  let baseBytes: Int
}
