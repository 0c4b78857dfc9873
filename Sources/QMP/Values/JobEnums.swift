// Words about jobs, beside `JobStatus`.

/// What a job does.
///
/// Isolation: value.
package enum JobType: String, WireEnum {
  /// Copies an overlay's data down into its base.
  case commit
  /// Copies up into an overlay what it shows of the images below it.
  case stream
  /// Makes an image.
  case create
  /// Empties an overlay whose data its base has.
  case makeEmpty = "make-empty"
  /// Writes a pattern or a file into a node.
  case write
  /// Takes the checksum of what a guest sees.
  case checksum
  /// Compares what guests of two nodes see.
  case compare
  /// Checks an image's metadata, and may repair them.
  case check
}

/// Whether a job's I/O works.
///
/// Isolation: value.
package enum JobIOStatus: String, WireEnum {
  /// It does.
  case ok
  /// The last request failed.
  case failed
  /// The last request found no space left.
  case noSpace = "nospace"
}

/// Which request of a job failed.
///
/// Isolation: value.
package enum JobOperation: String, WireEnum {
  case read, write
}

/// What a job did about a failed request.
///
/// Isolation: value.
package enum JobErrorAction: String, WireEnum {
  /// It tries the request again.
  case ignore
  /// It fails.
  case report
  /// It has paused.
  case stop
}
