import BlockRuntime

/// What the world is told about jobs, with QEMU's fields.
///
/// Isolation: value.
package enum JobEvent: Hashable, Sendable {
  /// JOB_STATUS_CHANGE.
  case statusChanged(id: String, status: JobStatus)
  /// BLOCK_JOB_READY.
  case ready(BlockJobFacts)
  /// BLOCK_JOB_COMPLETED; with an error when the job failed.
  case completed(BlockJobFacts, error: String?)
  /// BLOCK_JOB_CANCELLED.
  case cancelled(BlockJobFacts)
  /// BLOCK_JOB_PENDING.
  case pending(type: JobType, id: String)
  /// BLOCK_JOB_ERROR.
  case error(device: String, operation: IOErrorOperation, action: ErrorAction)
}

/// The fields that QEMU's block job events share.
///
/// Isolation: value.
package struct BlockJobFacts: Hashable, Sendable {
  package var type: JobType
  /// The job's id.
  package var device: String
  /// Everything to do, in bytes.
  package var length: Int
  /// What is done, in bytes.
  package var offset: Int
  /// Bytes per second; 0 is no limit.
  package var speed: Int
}

/// Who hears of events, in the order in which they happen.
package typealias JobEventSink = @ControlPlane (JobEvent) -> Void

/// The kinds of jobs.
///
/// Isolation: value.
package enum JobType: String, Sendable, CaseIterable {
  case commit
  case stream
  case makeEmpty = "make-empty"
  case create
  case write
  case checksum
  case compare
  case check

  /// Whether it works on one device: then the `block-job-` commands know it, and BLOCK_JOB_ events
  /// tell of it. The others have JOB_STATUS_CHANGE alone.
  package var isBlockJob: Bool { [.commit, .stream, .makeEmpty].contains(self) }
}
