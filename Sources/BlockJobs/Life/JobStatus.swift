/// Where a job is in its life; QEMU's names.
///
/// Isolation: value.
package enum JobStatus: String, Sendable, CaseIterable {
  /// Not there yet.
  case undefined
  /// Registered, not started.
  case created
  /// At work.
  case running
  /// Stopped, by its user or by an error.
  case paused
  /// Nothing left to do but to follow new writes; waits to be told to complete.
  case ready
  /// Paused while ready.
  case standby
  /// At its end, waiting for the others of its group.
  case waiting
  /// At its end, waiting to be finalized.
  case pending
  /// Cancelled or failed, cleaning up.
  case aborting
  /// Over; the result can be read.
  case concluded
  /// Gone.
  case null

  /// Which states may follow this one.
  package var successors: [JobStatus] {
    switch self {
    case .undefined: [.created]
    case .created: [.running, .aborting, .null]
    case .running: [.paused, .ready, .waiting, .aborting]
    case .paused: [.running]
    case .ready: [.standby, .waiting, .aborting]
    case .standby: [.ready]
    case .waiting: [.pending, .aborting]
    case .pending: [.aborting, .concluded]
    case .aborting: [.aborting, .concluded]
    case .concluded: [.null]
    case .null: []
    }
  }
}

/// What a user may ask of a job; QEMU's names.
///
/// Isolation: value.
package enum JobVerb: String, Sendable, CaseIterable {
  case cancel
  case pause
  case resume
  case setSpeed = "set-speed"
  case complete
  case finalize
  case dismiss
  case change

  /// In which states it may be asked.
  package var allowed: [JobStatus] {
    switch self {
    case .cancel: [.created, .running, .paused, .ready, .standby, .waiting, .pending]
    case .pause, .resume, .setSpeed, .change: [.created, .running, .paused, .ready, .standby]
    case .complete: [.ready, .standby]
    case .finalize: [.pending]
    case .dismiss: [.concluded]
    }
  }
}
