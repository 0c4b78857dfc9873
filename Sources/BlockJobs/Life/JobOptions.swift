package import BlockCore
package import ImageFormats

/// What every job can be told when it starts.
///
/// Isolation: value.
package struct JobOptions: Sendable {
  /// Its name, unique among the jobs that are there.
  package var id: String
  /// Bytes per second; 0 is no limit.
  package var speed = 0
  /// What to do when a request fails.
  package var onError = ErrorPolicy.report
  /// Whether the end comes without `finalize`.
  package var autoFinalize = true
  /// Whether a concluded job goes by itself.
  package var autoDismiss = true
  /// Whether a ready job completes without being told to.
  package var autoComplete = false
  /// Names of nodes that belong to the job and are closed when it concludes; of one in a group,
  /// when the last of the group does.
  package var ownNodes: [String] = []

  package init(id: String) { self.id = id }
}

/// What a job has to say when it is over. Only what its type knows is set.
///
/// Isolation: value.
package struct JobResult: Hashable, Sendable {
  /// Names of the nodes between base and top, whose content is no longer meaningful.
  package var invalidatedImages: [String] = []
  /// Guest bytes copied.
  package var bytesCopied = 0
  /// From the start to the end, in nanoseconds, pauses included.
  package var durationNanoseconds: UInt64 = 0
  /// SHA-256 of the guest's view, in hexadecimal.
  package var checksum: String?
  /// Where two disks differ first; nil where they do not.
  package var firstDifference: Int?
  /// What a check found.
  package var check: CheckResult?

  package init() {}
}

/// Everything that can be asked about a job, at one moment.
///
/// Isolation: value.
package struct JobSnapshot: Hashable, Sendable {
  package var id: String
  package var type: JobType
  package var status: JobStatus
  package var currentProgress: Int
  package var totalProgress: Int
  /// The sentence of the error that ended it.
  package var error: String?
  /// That error with all its facts.
  package var failure: BlockError?
  package var ioStatus: IOStatus
  package var speed: Int
  package var isBusy: Bool
  package var isPaused: Bool
  package var isReady: Bool
  package var autoFinalize: Bool
  package var autoDismiss: Bool
  /// Whether it was told to stop by force.
  package var isCancelled: Bool
  /// Whether it was told to stop when it was ready, without completing.
  package var isSoftlyCancelled: Bool
  /// Bytes per second, averaged; nil before it is known.
  package var bytesPerSecond: Int?
  /// Seconds until everything is done; nil when there is no telling.
  package var etaSeconds: Int?
  /// Nanoseconds since the start; for a job that is over, to its end.
  package var elapsedNanoseconds: UInt64
  package var phase: JobPhase?
  package var result: JobResult
}
